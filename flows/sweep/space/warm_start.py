"""The results of an earlier sweep, which the search of another one begins with.

They are copied into the new sweep's folder when it begins. The earlier sweep may change or be deleted after that, and a
command that resumes still suggests the same trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attgan.errors import UserError
from attgan.training.run_folder.plain_json import to_json
from flows.runtime.reporting import Log
from flows.storage import Store, open_store
from flows.sweep import fingerprint
from flows.sweep.plan import SweepPlan
from flows.sweep.records import (
    WITHOUT_RESULT,
    is_complete,
    read_json,
    read_trials,
    read_validations,
    value_of,
)
from flows.sweep.space.study import Study

WARM_START = "warm-start.json"


def write(plan: SweepPlan, log: Log) -> None:
    """Copy the results that a new sweep begins with, and say how many there are. Does nothing if it has them already.

    Raises:
        UserError: ``warm_start`` names no sweep, or none of its trials lies in this sweep's space.
        StorageError: the storage failed.
    """
    place = plan.settings.warm_start
    if place is None or read_json(plan.store, WARM_START) is not None:
        return
    store = open_store(place, option="--warm-start")
    store.check()
    digests = fingerprint.digests_of(store)
    if digests is None:
        raise UserError(
            "warm-start-missing", f"--warm-start {place}: holds no sweep; it has no {fingerprint.SWEEP}"
        )
    found = list(_results(store, list(plan.settings.modes)))
    study = Study(plan.settings, plan.axes)
    usable = [one for one in found if study.learn(one["changes"], one["values"])]
    if not usable:
        raise UserError(
            "warm-start-elsewhere",
            f"--warm-start {place}: none of its {len(found):,} trials with a result has all settings of --space, with "
            "values within it, and no other",
        )
    log.info(
        "warm start: %s of %s results of %s lie in this space",
        f"{len(usable):,}",
        f"{len(found):,}",
        store.url,
    )
    for name in ("dataset", "evaluator"):
        if digests.get(name) != plan.digests[name]:
            log.warning(
                "warm start: %s was measured with another %s, so its values may be others", store.url, name
            )
    plan.store.put(WARM_START, to_json(usable, indent=1))


def read(store: Store) -> list[dict[str, Any]]:
    """The results that a sweep began with, each with ``changes`` and ``values``; none if it began without."""
    return list(read_json(store, WARM_START) or [])


def _results(store: Store, metrics: list[str]) -> Iterator[dict[str, Any]]:
    """The settings and values of all trials that have a result with a value of each metric."""
    for folder, record in read_trials(store):
        if not is_complete(record) or record["state"] in WITHOUT_RESULT:
            continue
        validations = read_validations(folder)
        values = [value_of(validations, metric) for metric in metrics]
        if None not in values:
            yield {"changes": record["changes"], "values": values}
