"""The driver's view of a training: read what the worker writes into the run's folder, and show it.

The folder is the only connection between the two, so it does not matter on which machine the worker runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from attgan.training.run_folder.progress import PROGRESS
from flows.runtime import reporting
from flows.storage import StorageError, Store
from flows.training.stopping import OPENING, works_for

CURVES = "curves.png"
GRIDS = "grids/"
ENDED = ("finished", "stopped", "diverged")
# Seconds between two looks, and between two pictures.
_LOOKS_EVERY = 2.0
_PICTURES_EVERY = 30.0
# Seconds between two lines: at first, and in a long run.
_LINES_EVERY = (2.0, 30.0)
# Seconds without progress after which a line reports it.
_SILENCE = 60.0
_SHOWN = ("psnr", "ssim", "critic_accuracy", "classifier_accuracy", "edited_accuracy", "quality")


class Watch:
    """Shows the progress of one run: as lines in the log and as artifacts in the UI.

    Attributes:
        latest: the worker's last progress report; None before the first.
        heard: when it came, by the monotonic clock; before the first, the time of creation.
    """

    def __init__(self, store: Store, name: str, log: reporting.Log, command: str) -> None:
        """Watch for the command with this id. Reports of another command's worker are ignored."""
        self._store, self._name, self._log, self._command = store, name, log, command
        # Left by an earlier command, perhaps.
        self._before = self._read(PROGRESS)
        self.heard = self._started = self._said = self._pictured = self._looked = self._silent = (
            time.monotonic()
        )
        self._progress: reporting.Progress | None = None
        self._curves = reporting.Picture(f"{name}-curves", f"Losses and validations, {store.url}")
        self._grid = reporting.Picture(f"{name}-faces", f"Fixed faces, original and edited, {store.url}")
        self._note = ""
        self.latest: dict[str, Any] | None = None

    @property
    def training(self) -> bool:
        """Whether the worker is training, by its last report."""
        return self.latest is not None and self.latest["state"] not in (OPENING, *ENDED)

    def look(self, now: bool = False) -> None:
        """Read and show what is new, at most every two seconds unless ``now``."""
        if not now and time.monotonic() - self._looked < _LOOKS_EVERY:
            return
        self._looked = time.monotonic()
        # Read before the progress, which then cannot be older than the worker's claim on the folder.
        ours = works_for(self._store, self._command)
        raw = self._read(PROGRESS)
        if raw is None or raw == self._before or not ours:
            self._before = raw if raw is not None else self._before
            self._say_waiting()
            return
        self._before = raw
        self.heard = time.monotonic()
        self.latest = json.loads(raw)
        self._say(self.latest)
        if time.monotonic() - self._pictured >= _PICTURES_EVERY:
            self.show_pictures()

    def show_pictures(self) -> None:
        """Show the curves and the newest grid of faces."""
        self._pictured = time.monotonic()
        for picture, key in ((self._curves, CURVES), (self._grid, self._newest_grid())):
            data = self._read(key) if key else None
            if data is not None:
                picture.show(data, self._log)

    def end(self) -> None:
        """Show the last progress and pictures."""
        self.look(now=True)
        self.show_pictures()

    def _say(self, now: dict[str, Any]) -> None:
        if now["state"] == OPENING:
            self._log.info("%s", now["note"])
            return
        if now["note"] and now["note"] != self._note:
            self._log.info("after step %s: %s", f"{now['step']:,}", now["note"])
        self._note = now["note"]
        if self._progress is None:
            self._progress = reporting.Progress(
                f"{self._name}-progress", "steps", now["steps"], self._log, before=now["step"]
            )
        seconds = time.monotonic()
        first, last = _LINES_EVERY
        pause = min(last, max(first, (seconds - self._started) / 20))
        if now["state"] in ENDED or seconds - self._said >= pause:
            self._said = seconds
            self._progress.advance(now["step"] - self._progress.done, describe_progress(now))

    def _say_waiting(self) -> None:
        now = time.monotonic()
        if now - max(self._silent, self.heard) < _SILENCE:
            return
        self._silent = now
        if self.latest is None:
            self._log.info("waiting for the worker: it is starting, or the cluster has no free resources yet")
            return
        self._log.info(
            "no progress from the worker for %.0f s: a long step or checkpoint, or it died and starts again",
            now - self.heard,
        )

    def _newest_grid(self) -> str | None:
        try:
            return max((info.key for info in self._store.list(GRIDS)), default=None)
        except StorageError:
            return None

    def _read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key).data
        except (FileNotFoundError, StorageError):
            # If the storage fails for good, the worker raises the error.
            return None


def describe_progress(now: dict[str, Any]) -> str:
    """Speed, losses and the last validation, for the end of a line."""
    words = [f"{now['images_per_second']:,.1f} images/s", f"epoch {now['epoch']:.2f}"]
    words += [f"{name} {value:.3g}" for name, value in _finite(now["losses"]) if name.endswith("total")]
    check = dict(_finite(now["check"]))
    words += [f"{name} {check[name]:.3g}" for name in _SHOWN if name in check]
    return ", ".join(words)


def _finite(numbers: dict[str, float | None]) -> Iterator[tuple[str, float]]:
    """The numbers that are finite; the others are null in a progress report."""
    return ((name, value) for name, value in numbers.items() if value is not None)
