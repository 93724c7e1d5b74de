"""An artifact in the UI in whose place newer ones are put while the work goes on."""

from __future__ import annotations

import json
import math
import time
from typing import Any
from uuid import UUID

from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from flows.runtime import reporting

_AWAY = 30.0  # seconds: each try takes some, in which nobody looks after the work


class Board:
    """Progress or a table, replaced at most every so many seconds, and only by what differs."""

    def __init__(self, kind: str, key: str, every: float) -> None:
        """Show nothing yet.

        Args:
            kind: "progress", whose data is a number from 0 to 100, or "table", whose data is a list of mappings.
            key: of the artifact, in any alphabet.
            every: seconds between two showings.
        """
        self._kind, self._key, self._every = kind, reporting.artifact_key(key), every
        self._artifact: UUID | None = None
        self._shown: tuple[Any, str] | None = None
        self._next = -math.inf  # when it is due again, by the monotonic clock
        self._back = -math.inf  # when a server that was away is asked again

    def show(self, data: Any, description: str, log: reporting.Log, *, now: bool = False) -> None:
        """Show it: now, or if the last time is long enough ago. A server that is away ends nobody's work."""
        clock = time.monotonic()
        if (data, description) == self._shown or clock < self._back or (clock < self._next and not now):
            return
        text = json.dumps(data) if self._kind == "table" else data
        try:
            if self._artifact is None:
                artifact: Any = Artifact(type=self._kind, key=self._key, description=description, data=text)
                self._artifact = artifact.create(_sync=True).id
            else:
                with get_client(sync_client=True) as client:
                    client.update_artifact(self._artifact, ArtifactUpdate(data=text, description=description))
            self._shown = (data, description)
        except Exception as error:
            log.warning("%s is not shown: %s", self._key, error)
            self._back = time.monotonic() + _AWAY
        self._next = time.monotonic() + self._every
