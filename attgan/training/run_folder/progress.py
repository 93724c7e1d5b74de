"""A run's progress reports, and its outcome."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from attgan.models.folder import Folder
from attgan.training.run_folder.plain_json import to_json

PROGRESS = "progress.json"
# Seconds between two reports.
_EVERY = 2.0


Doing = Literal["training", "finished", "stopped", "diverged"]


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        state: what it is doing.
        step: steps done, those before the run was resumed included.
        steps: of the whole run, at most.
        epoch: passes over the source images done.
        images_per_second: since the last report, validations included.
        losses: last read, as ``discriminator/total``.
        check: numbers of the last validation; empty before the first.
        note: what happened just now, one line; often empty.
        checked: after how many steps the last validation was; -1 before the first.
    """

    state: Doing
    step: int
    steps: int
    epoch: float
    images_per_second: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    check: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    checked: int = -1


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        ended: "finished" with a result bundle, or "stopped" on demand; it can be resumed.
        reason: one line.
        step: steps done, those before the run was resumed included.
        epoch: the same in passes.
        resumed_from: the step at which this call resumed the run; None if it started it.
        check: numbers of the last validation.
        best_step: after which the result's weights were kept; None when stopped.
        best: numbers of the validation there.
        bundle: the result's path in the run folder's filesystem; None when stopped.
        digest: of that bundle.
    """

    ended: Literal["finished", "stopped"]
    reason: str
    step: int
    epoch: float
    resumed_from: int | None = None
    check: Mapping[str, float] = field(default_factory=dict)
    best_step: int | None = None
    best: Mapping[str, float] = field(default_factory=dict)
    bundle: str | None = None
    digest: str | None = None


OnProgress = Callable[[Progress], None]


class Reporter:
    """Reports to ``on_progress`` and ``progress.json``, about every two seconds."""

    def __init__(self, folder: Folder, on_progress: OnProgress | None) -> None:
        self._folder = folder
        self._on_progress = on_progress
        self._reported = time.monotonic()
        self._images = 0
        self._rate = 0.0

    def count(self, images: int) -> None:
        """Count images that were trained on, for the rate."""
        self._images += images

    @property
    def due(self) -> bool:
        """Whether the last report is two seconds old."""
        return time.monotonic() - self._reported >= _EVERY

    def report(self, progress: Progress) -> None:
        """Report now, with the rate since the last report."""
        now = time.monotonic()
        if self._images:
            self._rate = self._images / max(now - self._reported, 1e-9)
        self._images, self._reported = 0, now
        latest = Progress(**{**asdict(progress), "images_per_second": round(self._rate, 2)})
        self._folder.write(PROGRESS, to_json(asdict(latest), indent=1))
        if self._on_progress:
            self._on_progress(latest)
