"""An edit run: its folder, its ``run.json`` and its report.

``run.json`` is written after the plan, create-only, and never changes. A run without it has not begun.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.errors import UserError
from flows.edit.fingerprint import CURRENT, edits_text
from flows.settings import EditSettings
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
# Of an output's metadata: the fingerprint and the lineage of the run that wrote it, and the ETag of what it was made
# from.
FINGERPRINT, LINEAGE, SOURCE_ETAG = "attgan-fingerprint", "attgan-lineage", "attgan-source-etag"


class EditRun(BaseModel):
    """An edit run, as it stands in ``run.json``.

    Attributes:
        run_id: names the run's folder.
        lineage: shared by all runs that make the same edit of the same source. What is done counts for all of them.
        attributes: the bundle's, in the order of the model's vectors.
        fingerprint: hash of ``made_of``.
        made_of: everything that decides the output's bytes.
        replaces: fingerprints of earlier runs of the lineage. This run may replace what they wrote, with a ledger or
            without.
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
        """This run with the values that today's ``settings`` have for everything in :data:`.fingerprint.CURRENT`."""
        now = {name: getattr(settings, name) for name in CURRENT}
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
