"""Events of a sweep's trials while they run, and the end of the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.sweep.records import State


@dataclass(frozen=True)
class TrialEvent:
    """Something new about a trial.

    Attributes:
        number: of the trial.
        state: as in its record.
        step: steps done.
        steps: of the whole trial, at most; 0 while unknown.
        numbers: of the validation at this step; empty if there was none.
        note: one line; often empty.
    """

    number: int
    state: State
    step: int = 0
    steps: int = 0
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Ending:
    """How a sweep's trials ended.

    Attributes:
        reason: one line.
        interrupted: whether the user stopped it; then the same command resumes the trials that are left.
    """

    reason: str
    interrupted: bool
