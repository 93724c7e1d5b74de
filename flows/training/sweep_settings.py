"""The settings of a sweep's best trial, for a training that begins with them. Reads files that every version writes."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from attgan.errors import UserError
from attgan.training.config import TrainingConfig
from attgan.training.run_folder.result import BUNDLE
from attgan.training.run_folder.run_files import RESULT
from flows.settings import TrainSettings, refusal_of
from flows.settings.training import NetworkShape
from flows.storage import Store, has, join, open_store

_OPTION = "--settings-from"


def with_best_settings(settings: TrainSettings) -> TrainSettings:
    """The settings with those of the best trial of the sweep that ``settings_from`` names, where the user chose none.

    The training also starts from what the trial started from, unless the user names a bundle.

    Raises:
        UserError: there is no finished sweep, none of its trials can be compared, or a file of it is damaged.
        StorageError: the storage failed after its retries.
    """
    place = settings.settings_from
    if place is None:
        return settings
    given = {name: value for name, value in settings.chosen.items() if name != "settings_from"}
    values = _best(place)
    if given.get("bundle") is not None:
        # Its networks have their shape.
        values = {name: value for name, value in values.items() if name not in NetworkShape.model_fields}
    try:
        return TrainSettings.model_validate(values | given)
    except ValidationError as error:
        raise refusal_of(error, f"{_OPTION} {place}") from None


def _best(place: str) -> dict[str, Any]:
    """The settings of the best trial, and the bundle that it started from."""
    store = open_store(place, option=_OPTION)
    store.check()
    try:
        best = _read(store, "report.json")["best"]
    except FileNotFoundError:
        best = None
    if best is None:
        raise UserError(
            "sweep-without-best",
            f"{_OPTION} {place}: holds no finished sweep with a best trial; the command that began it continues it",
        )
    try:
        whole = _read(store, "sweep.json")["settings"]
        whole |= _read(store, f"trials/{best['trial']}/trial.json")["changes"]
    except (FileNotFoundError, KeyError, TypeError):
        raise _damaged(store) from None
    names = {*TrainingConfig.model_fields, *NetworkShape.model_fields}
    values = {name: value for name, value in whole.items() if name in names}
    aligned = join(place, "aligned")
    values["bundle"] = join(aligned, BUNDLE) if has(aligned, RESULT, _OPTION) else whole.get("bundle")
    return values


def _read(store: Store, key: str) -> dict[str, Any]:
    try:
        return dict(json.loads(store.get(key).data))
    except (TypeError, ValueError):
        raise _damaged(store) from None


def _damaged(store: Store) -> UserError:
    return UserError("sweep-damaged", f"{_OPTION} {store.url}: a file of the sweep is missing or damaged")
