"""What lies in a sweep's folder: the trials there are, and the weights that each of them kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from attgan.models.bundle_config import CONFIG
from attgan.training.run_folder.metrics_log import METRICS
from attgan.training.run_folder.run_files import RESULT
from flows.storage import Store, join, open_store
from flows.sweep.plan import TRIALS, Plan, Trial
from flows.sweep.records import read_record

BUNDLE = "bundle"
START = "start"  # what was measured of the starting bundle
_BEST = re.compile(r"best/step-(\d+)/" + re.escape(CONFIG))


@dataclass(frozen=True)
class Kept:
    """The weights that are a trial's result.

    Attributes:
        path: of their bundle, below the trial's folder.
        step: after which they were so.
        steps: that the trial has done; None where it has not finished.
    """

    path: str
    step: int
    steps: int | None = None


def all_trials(plan: Plan) -> list[Trial]:
    """The trials that were drawn up front, and those that a search has suggested since the plan was made."""
    trials = {trial.number: trial for trial in plan.known}
    number = len(trials)
    while (record := read_record(trial_store(plan, number))) is not None:
        trials[number] = plan.trial(number, record["changes"])
        number += 1
    return [trials[number] for number in sorted(trials)]


def trial_store(plan: Plan, number: int) -> Store:
    """The folder of a trial, by its number."""
    return open_store(join(plan.store.url, TRIALS, f"{number:03d}"), option="--destination")


def kept_weights(store: Store) -> Kept | None:
    """The bundle of a trial that finished, or the best one that another kept so far; None where there is neither.

    Args:
        store: the trial's folder.
    """
    outcome = read_json(store, RESULT)
    if outcome is not None:
        return Kept(BUNDLE, outcome["best_step"], outcome["step"])
    found = [match for info in store.list("best/") if (match := _BEST.fullmatch(info.key))]
    newest = max(found, key=lambda match: int(match[1]), default=None)
    return Kept(newest[0].removesuffix(f"/{CONFIG}"), int(newest[1])) if newest else None


def read_metrics(store: Store) -> list[dict[str, Any]]:
    """All rows of a trial's metrics in their order, of steps and of validations; none where it has not begun."""
    try:
        lines = store.get(METRICS).data.splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break  # the last one, cut off by a kill
    return rows


def read_json(store: Store, key: str) -> Any:
    """The content of a JSON file; None where there is no such file."""
    try:
        return json.loads(store.get(key).data)
    except FileNotFoundError:
        return None
