"""An artifact in the Prefect UI that is replaced by newer versions while the work continues."""

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

# Seconds without a further attempt after the server failed: an attempt may take long, and the work waits for it.
_AWAY = 30.0


class LiveArtifact:
    """A progress bar or a table, updated at most every ``every`` seconds, and only if it has changed."""

    def __init__(self, kind: str, key: str, every: float) -> None:
        """Show nothing yet.

        Args:
            kind: "progress", with a number from 0 to 100 as data, or "table", with a list of mappings.
            key: of the artifact, in any alphabet.
            every: seconds between two updates.
        """
        self._kind, self._key, self._every = kind, reporting.artifact_key(key), every
        self._artifact: UUID | None = None
        self._shown: tuple[Any, str] | None = None
        # Times by the monotonic clock: of the next update, and of the next attempt after the server failed.
        self._next = -math.inf
        self._back = -math.inf

    def show(self, data: Any, description: str, log: reporting.Log, *, now: bool = False) -> None:
        """Update the artifact, unless the last update was too recent and not ``now``. Errors are only logged."""
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
