"""An edit run: its ``run.json``, its fingerprint and its id.

``run.json`` is written after the plan, create-only, and never changes. A run without it has not begun.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.attributes import Edit
from attgan.data import codec
from attgan.editing.editor import EDIT_FORMAT
from attgan.errors import UserError
from attgan.version import SOFTWARE
from flows.settings import DEFAULT_BUNDLE, EditSettings
from flows.storage import Store, join

RUNS = "_runs"
# What is done, by lineage.
STATE = "_state"
# Names the run that finished last.
LATEST = "_runs/latest.json"
# Of a run's folder. The first is written after the plan, and marks the run as begun; the second is written last, and
# marks it as finished.
RUN_FILE = "run.json"
REPORT = "report.json"
# Of a run's folder: pictures of some of its faces, and the page of `attgan preview`.
PICTURE, PREVIEW = "before-after.jpg", "preview.html"

MAY_CHANGE = (
    # The place of the bundle; its digest is part of the fingerprint.
    "bundle",
    "cpus_per_shard",
    "deadline",
    "gpus_per_shard",
    "max_bytes",
    "max_failed_share",
    "max_pixels",
    "max_rate",
    "metrics_host",
    "metrics_port",
    "metrics_push",
    "mirror_deletions",
    "mirror_max_share",
    "no_faces",
    "notice_share",
    "node_timeout",
    "on_existing",
    "stall_timeout",
)
"""Settings that do not affect the output's bytes. A resumed run takes them from the command that resumes it.

(GPUs decide the device, which is part of the fingerprint by itself.)
"""

_ASKED_FOR = (
    *("bundle", "edits", "faces", "min_face", "min_confidence", "paste"),
    *("output", "format", "on_present", "quality", "metadata", "style", "on_unsure"),
)


class EditRun(BaseModel):
    """An edit run, as it stands in ``run.json``.

    Attributes:
        run_id: names the run's folder.
        lineage: shared by all runs that make the same edit of the same source. What is done counts for all of them.
        attributes: the bundle's, in the order of the model's vectors.
        fingerprint: hash of ``made_of``.
        made_of: everything that decides the output's bytes.
        replaces: fingerprints of unfinished runs that this run has closed. It may replace outputs that they wrote
            without a ledger.
        plan: random name of this run's plan, so that it is not mixed up with one that another command began to write.
        ignored: keys below the source that were not planned, counted by reason.
        unchanged: images that an earlier run of the lineage has finished.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 2
    run_id: str
    lineage: str
    settings: EditSettings
    attributes: list[str]
    fingerprint: str
    made_of: dict[str, Any]
    replaces: list[str] = []
    plan: str
    shards: int
    inputs: int
    bytes_in: int
    ignored: dict[str, int]
    unchanged: int

    @property
    def url(self) -> str:
        """The run's own folder."""
        return run_url(self.settings.destination, self.run_id)

    @property
    def edits_text(self) -> str:
        """The edits as outputs record them: ``Eyeglasses=1@1``."""
        return edits_text(self.made_of)

    def under(self, settings: EditSettings) -> EditRun:
        """This run with the values that ``settings`` has for everything in :data:`MAY_CHANGE`."""
        now = {name: getattr(settings, name) for name in MAY_CHANGE}
        return self.model_copy(update={"settings": self.settings.model_copy(update=now)})


def run_url(destination: str, run_id: str) -> str:
    """The folder of a run's plan, ledgers and report."""
    return join(destination, RUNS, run_id)


def read_run(store: Store, run_id: str | None = None) -> EditRun | None:
    """Read the run of a run's folder, or of this one of all runs' folder; None if it has not begun.

    Raises:
        UserError: ``run.json`` is damaged, or of another version.
    """
    key = f"{run_id}/{RUN_FILE}" if run_id else RUN_FILE
    try:
        return EditRun.model_validate_json(store.get(key).data)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(
            "run-foreign", f"{store.url}/{key}: is not a run of this version; it is left alone"
        ) from error


def read_report(store: Store, run_id: str | None = None) -> dict[str, Any]:
    """Read the report in a run's folder, or that of this run below all runs' folder.

    Raises:
        FileNotFoundError: the run has not finished.
    """
    report: dict[str, Any] = json.loads(store.get(f"{run_id}/{REPORT}" if run_id else REPORT).data)
    return report


def write_report(store: Store, report: Mapping[str, Any]) -> None:
    """Write the report into a run's folder."""
    store.put(REPORT, json.dumps(report, indent=2).encode(), content_type="application/json")


def edits_text(made_of: Mapping[str, Any]) -> str:
    """The edits as outputs record them: ``Eyeglasses=1@1``."""
    return ", ".join(f"{name}={value:d}@{intensity:g}" for name, value, intensity in made_of["edits"])


def fingerprint_inputs(
    settings: EditSettings,
    edits: Sequence[Edit],
    bundle_digest: str,
    labels_digest: str | None,
    style: str | None = None,
) -> dict[str, Any]:
    """Everything that the output's bytes depend on besides the inputs: the content of the fingerprint.

    Args:
        settings: of the run.
        edits: parsed from the settings.
        bundle_digest: of the model.
        labels_digest: of the label file; None without one.
        style: the default style, and the digest of the table of single styles; None if the bundle has no styles.
            Then the fingerprint equals that of versions before there were styles, and their runs resume.
    """
    later = {} if style is None else {"style": style}
    if settings.on_unsure != "edit":
        later["on_unsure"] = settings.on_unsure
    if settings.metadata != "keep":
        later["metadata"] = settings.metadata
    return later | {
        "bundle": bundle_digest,
        "labels": labels_digest,
        "edits": [[edit.attribute, edit.value, edit.intensity] for edit in edits],
        "faces": settings.faces,
        "min_face": settings.min_face,
        "min_confidence": settings.min_confidence,
        "paste": settings.paste,
        "output": settings.output,
        "format": settings.format,
        "on_present": settings.on_present,
        "quality": settings.quality,
        "batch_size": settings.batch_size,
        "device": "cuda" if settings.gpus_per_shard else "cpu",
        "software": SOFTWARE,
        **versions(),
    }


def versions() -> dict[str, Any]:
    """The versions on this machine that affect the output's bytes."""
    return {"edit_format": EDIT_FORMAT, "torch": torch.__version__, "codec": codec.VERSION}


def check_versions(run: EditRun) -> None:
    """Refuse to work on a run with library versions whose output could differ.

    Raises:
        UserError: a library has another version here than on the machine that began the run.
    """
    for name, version in versions().items():
        if run.made_of[name] != version:
            where = f"worker {socket.gethostname()}"
            raise UserError(
                "worker-version-differs",
                f"{where}: has {name} {version}, but the run began with {run.made_of[name]}",
            )


def hash_of(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


FIRST_SHIPPED = "027567a4fe0d68ce4d01c90ee5169a4c5370ccdd917ee17ed17f5d49f18aa13d"
"""Digest of the first shipped bundle. It stands for the shipped bundle in the lineage, whichever version that is.

So a new version of this program does not edit again what an earlier one has finished.
"""


def lineage_of(settings: EditSettings, made_of: dict[str, Any]) -> str:
    """The hash that runs share if they make the same edit of the same source. What one has finished counts for all.

    Part of it is what the user asked the results to be. Library versions and the edit's format are not: after an
    upgrade the next run edits only what is new, and not the whole bucket again. Nor is what stands in tables of labels
    or styles, which grow with the bucket: after a change in one, only new or changed images are edited, unless
    ``--redo`` says so.
    """
    asked_for = {name: made_of[name] for name in _ASKED_FOR if name in made_of}
    # The default of versions before JPEGs kept their own tables.
    asked_for["quality"] = settings.quality or 95
    if settings.style_from is not None and "style" in made_of:
        asked_for["style"] = f"{','.join(settings.style)} or as in a table"
    if settings.bundle == DEFAULT_BUNDLE:
        asked_for["bundle"] = FIRST_SHIPPED
        # The first shipped bundle had no styles.
        if not settings.style and settings.style_from is None:
            asked_for.pop("style", None)
    return hash_of([settings.source, asked_for])
