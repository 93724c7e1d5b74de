"""``sweep.json``, which identifies the sweep in a folder: the same command resumes it, another sweep is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attgan.errors import UserError
from attgan.training.config import EXECUTION_ONLY
from attgan.training.run_folder.plain_json import to_json
from attgan.version import SOFTWARE
from flows.settings import SweepSettings
from flows.storage import Store

SWEEP = "sweep.json"
SCHEMA = 1

# Settings that may differ when a sweep resumes: they do not affect results, or their digests are compared instead.
_FREE = EXECUTION_ONLY | {
    "preset",
    "space_file",
    "destination",
    "dataset",
    "align_dataset",
    "bundle",
    "evaluator",
    "time_limit",
    "cpus_per_trial",
    "gpus_per_trial",
    "parallel",
    "node_timeout",
    "attempts",
    "trial_timeout",
    "max_failures",
    "cache_gb",
    "licence",
    "dry_run",
    "trials",
}
_WHAT = {
    "dataset": "on other data",
    "bundle": "that starts from other weights",
    "evaluator": "with another evaluator",
}


def content(settings: SweepSettings, digests: Mapping[str, str | None]) -> dict[str, Any]:
    """The content of ``sweep.json``."""
    return {
        "kind": "sweep",
        "schema_version": SCHEMA,
        "software": SOFTWARE,
        "device": settings.device,
        "digests": dict(digests),
        "settings": settings.model_dump(mode="json", exclude={"dry_run", "space_file"}),
    }


def check_same(
    store: Store, settings: SweepSettings, digests: Mapping[str, str | None] | None = None
) -> bool:
    """Whether the folder holds this sweep. Writes nothing.

    Args:
        store: the folder.
        settings: resolved.
        digests: of data, start and evaluator; None if they are not known yet, and then not compared.

    Raises:
        UserError: the folder holds another sweep, and the line names the first option that differs; or it is damaged.
        StorageError: the storage failed.
    """
    found = _read(store)
    if found is None:
        return False
    where = f"{store.url} holds a sweep of {found.get('software', 'an older version')}"
    if found["device"] != settings.device:
        raise UserError(
            "sweep-settings-differ",
            f"--gpus-per-trial {settings.gpus_per_trial:g}: {where} on the device {found['device']}, whose results "
            f"differ from those of {settings.device}; choose another --destination",
        )
    before, now = found["settings"], settings.model_dump(mode="json")
    defaults = SweepSettings().model_dump(mode="json")
    free = _FREE | ({"images"} if settings.dataset else set())
    own = {name: before.get(name, default) for name, default in defaults.items() if name not in free}
    _refuse_different({name: value for name, value in own.items() if value != now[name]}, now, where)
    if (settings.trials or 0) < before["trials"]:
        raise UserError(
            "trials-fewer",
            f"--trials {settings.trials}: {where} with {before['trials']}, and the number may only grow; choose "
            "another --destination for fewer",
        )
    for name, digest in (digests or {}).items():
        if found["digests"].get(name) != digest:
            raise UserError(
                "sweep-settings-differ",
                f"--{name}: {where} {_WHAT[name]}, and a sweep resumes with its own; others need another --destination",
            )
    return True


def digests_of(store: Store) -> dict[str, str | None] | None:
    """The digests of the sweep in a folder, as in :func:`content`; None if it holds no sweep.

    Raises:
        UserError: it is damaged.
        StorageError: the storage failed.
    """
    found = _read(store)
    return None if found is None else dict(found["digests"])


def write(store: Store, text: Mapping[str, Any]) -> None:
    """Write ``sweep.json``, and replace that of the same sweep with fewer trials."""
    store.put(SWEEP, to_json(text, indent=1))


def _read(store: Store) -> dict[str, Any] | None:
    try:
        data = store.get(SWEEP).data
    except FileNotFoundError:
        return None
    where = f"--destination {store.url}: {SWEEP}"
    try:
        found = json.loads(data)
        version = found["schema_version"]
        complete = found["kind"] == "sweep" and {"device", "digests", "settings"} <= set(found)
        complete = complete and isinstance(found["settings"]["trials"], int)
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise UserError(
            "sweep-damaged", f"{where} is damaged; choose another place, or delete the sweep and start again"
        )
    if version != SCHEMA:
        raise UserError(
            "sweep-schema-unknown", f"{where} has schema_version {version}, this version reads {SCHEMA}"
        )
    # Up to version 0.2 the evaluator was called judge.
    if "judge" in found["digests"]:
        found["digests"]["evaluator"] = found["digests"].pop("judge")
    return dict(found)


def _refuse_different(own: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Refuse settings that differ from the sweep's ``own``, and name all options that would continue it.

    Raises:
        UserError: there are some.
    """
    if not own:
        return
    name, value = next(iter(own.items()))
    options = ", ".join(f"--{each.replace('_', '-')} {_text(own[each])}" for each in own)
    raise UserError(
        "sweep-settings-differ",
        f"--{name.replace('_', '-')} {_text(now[name])}: {where} with {_text(value)}, and a sweep resumes with its own "
        f"settings ({options}); choose another --destination for others",
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value) or "none"
    return value if isinstance(value, str) else json.dumps(value)
