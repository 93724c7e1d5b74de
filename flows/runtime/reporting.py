"""What a run shows in the Prefect UI: progress while it runs, tables and pictures at its end."""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import FlowRunContext, SettingsContext
from prefect.events import emit_event
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, Settings
from prefect.utilities.urls import url_for

from flows.words import lasting

# Of progress: so that a user sees it move every five seconds.
_SECONDS_BETWEEN = 4.0
# Seconds without a further attempt after the server failed: an attempt may take long, and the work waits for it.
_AWAY_SECONDS = 30.0
Log = logging.Logger | logging.LoggerAdapter[Any]


class Progress:
    """Progress towards a known total, with rate and time left: as log lines and, with a key, as a Prefect artifact."""

    def __init__(self, key: str | None, noun: str, total: int, log: Log, before: int = 0) -> None:
        self.noun, self.total, self.log = noun, max(total, 1), log
        # Items that an earlier run has done are not part of this run's rate.
        self.done = self._before = before
        self._started = self._said = time.monotonic()
        self._last = before
        self._is_over = False
        self._artifact = LiveArtifact("progress", key, every=0) if key else None
        self._show(0.0, noun)

    def start(self) -> None:
        """Begin to count the time only now, for the rate."""
        self._started = time.monotonic()

    def advance(self, count: int, note: str = "") -> None:
        """Count ``count`` more items as done. Says so as :meth:`reach` does."""
        self.reach(self.done + count, note)

    def reach(self, done: int, note: str = "") -> None:
        """Say how many items are done by now, with the note: at the first ones, every few seconds, and at the end."""
        self.done = max(self.done, done)
        now = time.monotonic()
        first = self._last == self._before < self.done
        # A short work may be over before anything is heard of it.
        last = self.done >= self.total and not self._is_over
        if not (first or last) and (self._is_over or now - self._said < _SECONDS_BETWEEN):
            return
        self._said, self._last, self._is_over = now, self.done, self.done >= self.total
        new = self.done - self._before
        rate = new / max(now - self._started, 1e-9)
        share = min(1.0, self.done / self.total)
        line = f"{self.done:,} of {self.total:,} {self.noun} ({share:.0%})"
        if new:
            line += f", {rate:,.{0 if rate >= 10 else 1}f}/s"
            line += f", {lasting((self.total - self.done) / rate)} left" if self.done < self.total else ""
        line += f"; {note}" if note else ""
        self.log.info(line)
        self._show(100 * share, line)

    def _show(self, percent: float, line: str) -> None:
        if self._artifact is not None:
            self._artifact.show(percent, line, self.log)


class Picture:
    """A picture in the UI that newer ones replace."""

    def __init__(self, key: str, description: str) -> None:
        self._artifact, self._description = LiveArtifact("markdown", key, every=0), description

    def show(self, image: bytes, log: Log, description: str | None = None) -> None:
        """Show a JPEG or PNG, with another description if one is given, unless that is already shown."""
        description = description or self._description
        self._artifact.show(_page(image, description), description, log)


class LiveArtifact:
    """A progress bar, table or page in the UI, updated at most every ``every`` seconds, and only if it has changed."""

    def __init__(self, kind: str, key: str, every: float) -> None:
        """Show nothing yet.

        Args:
            kind: "progress", with a number from 0 to 100 as data; "table", with a list of mappings; or "markdown".
            key: of the artifact, in any alphabet.
            every: seconds between two updates.
        """
        self._kind, self._key, self._every = kind, artifact_key(key), every
        self._artifact: UUID | None = None
        self._settings: Settings | None = None
        self._shown: tuple[Any, str] | None = None
        # Times by the monotonic clock: of the next update, and of the next attempt after the server failed.
        self._next = -math.inf
        self._back = -math.inf

    def show(self, data: Any, description: str, log: Log, *, now: bool = False) -> None:
        """Update the artifact, unless the last update was too recent and not ``now``. Errors are only logged."""
        clock = time.monotonic()
        if (data, description) == self._shown or clock < self._back or (clock < self._next and not now):
            return
        text = json.dumps(data) if self._kind == "table" else data
        try:
            # The work waits for this, and Prefect's client would try again for most of a minute.
            with self._without_retries():
                if self._artifact is None:
                    artifact: Any = Artifact(
                        type=self._kind, key=self._key, description=description, data=text
                    )
                    self._artifact = artifact.create(_sync=True).id
                else:
                    with get_client(sync_client=True) as client:
                        update = ArtifactUpdate(data=text, description=description)
                        client.update_artifact(self._artifact, update)
            self._shown = (data, description)
        except Exception as error:
            log.warning("%s is not shown: %s", self._key, error)
            self._back = time.monotonic() + _AWAY_SECONDS
        self._next = time.monotonic() + self._every

    def _without_retries(self) -> SettingsContext:
        """Prefect's settings for one attempt at each request. They are kept: to make them takes 40 ms of CPU."""
        current = SettingsContext.get()
        assert current is not None
        if self._settings is None:
            self._settings = current.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
        return SettingsContext(profile=current.profile, settings=self._settings)


def table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Add a table to the run's artifacts, one row for each mapping."""
    create_table_artifact([dict(row) for row in rows], key=artifact_key(key), description=description)


def picture(key: str, image: bytes, description: str) -> None:
    """Add a JPEG or PNG to the run's artifacts.

    The picture is embedded in a Markdown page as a data URL, so the browser needs no access to the bucket. Prefect's
    own image artifact would print the whole data URL below the picture.
    """
    markdown(key, _page(image, description), description)


def markdown(key: str, text: str, description: str) -> None:
    """Add a page of Markdown to the run's artifacts."""
    create_markdown_artifact(text, key=artifact_key(key), description=description)


def task_run_link(text: str, task_run: str | None) -> str:
    """Markdown that leads to a task run and its log in the UI, for a cell of a table; the text alone without a run."""
    url = url_for("task-run", task_run) if task_run else None
    return f"[{text}]({url})" if url else text


def event(name: str, resource: str, payload: Mapping[str, Any]) -> None:
    """Emit an event for automations, related to the current flow run if there is one.

    Args:
        name: of the event, such as ``attgan.edit.failed-share-passed``.
        resource: the identifier of what the event is about.
        payload: further values.
    """
    run = FlowRunContext.get()
    related = []
    if run is not None and run.flow_run is not None:
        id_ = f"prefect.flow-run.{run.flow_run.id}"
        related = [{"prefect.resource.id": id_, "prefect.resource.role": "flow-run"}]
    emit_event(name, {"prefect.resource.id": resource}, related=related, payload=dict(payload))


def _page(image: bytes, description: str) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"![{description}](data:image/{kind};base64,{base64.b64encode(image).decode()})"


def artifact_key(name: str) -> str:
    """A name in the alphabet that Prefect allows for artifacts: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
