"""The status of a sweep's trials, kept up to date by their events. Reads no files and shows nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flows.sweep.events import TrialEvent
from flows.sweep.leaderboard import Mode, number, sort_value
from flows.sweep.plan import Trial
from flows.sweep.records import SETTLED, State, finite

_ENDED = SETTLED | {"failed"}
_ORDER: tuple[State, ...] = (
    "finished",
    "stopped_early",
    "diverged",
    "failed",
    "running",
    "interrupted",
    "waiting",
)


@dataclass
class TrialProgress:
    """One trial so far.

    Attributes:
        label: the settings in which it differs.
        state: from its last event.
        step: steps done.
        steps: of the whole trial, at most; 0 while unknown.
        value: the metric at its last validation.
        best: the metric of the weights that it keeps, chosen as in the leaderboard: by the best quality.
        quality: the best so far.
    """

    label: str
    state: State = "waiting"
    step: int = 0
    steps: int = 0
    value: float | None = None
    best: float | None = None
    quality: float | None = None

    @property
    def share(self) -> float:
        """The share of its steps that are done; 1 if it has ended."""
        if self.state in _ENDED:
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0


class TrialStatus:
    """All trials of a sweep so far."""

    def __init__(
        self, trials: Iterable[Trial], count: int, metric: str, mode: Mode, label_of: Callable[[int], str]
    ) -> None:
        """No trial has begun yet.

        Args:
            trials: that are known beforehand.
            count: of all trials, including those that a search will suggest.
            metric, mode: by which trials are compared.
            label_of: returns the label of a suggested trial, by its number.
        """
        self._count, self._metric, self._mode, self._label_of = count, metric, mode, label_of
        self._trials = {trial.number: TrialProgress(trial.label) for trial in trials}

    def take(self, event: TrialEvent) -> bool:
        """Update with an event; returns whether the trial's state has changed."""
        trial_progress = self._trials.get(event.number)
        if trial_progress is None:
            trial_progress = self._trials[event.number] = TrialProgress(self._label_of(event.number))
        news, trial_progress.state = trial_progress.state != event.state, event.state
        trial_progress.step, trial_progress.steps = (
            max(trial_progress.step, event.step),
            event.steps or trial_progress.steps,
        )
        if event.numbers:
            trial_progress.value = finite(event.numbers.get(self._metric))
            if event.step:
                quality = finite(event.numbers.get("quality"))
                # As in flows.sweep.records.value_of: if the quality is unknown, the last weights are kept.
                if trial_progress.quality is None or (
                    quality is not None and quality >= trial_progress.quality
                ):
                    trial_progress.quality, trial_progress.best = quality, trial_progress.value
        return news

    @property
    def percent(self) -> float:
        """How much of the sweep is done, from 0 to 100."""
        return round(
            100 * sum(trial_progress.share for trial_progress in self._trials.values()) / max(1, self._count),
            1,
        )

    @property
    def ahead(self) -> int | None:
        """The number of the trial with the best value so far."""
        known = [item for item in self._trials.items() if item[1].best is not None]
        return (
            min(known, key=lambda item: (sort_value(item[1].best, self._mode), item[0]))[0] if known else None
        )

    def line(self, event: TrialEvent) -> str:
        """An event in words: ``trial 003 (λ1 50): step 300 of 1,000, quality 0.61``."""
        trial_progress = self._trials[event.number]
        words = [event.state.replace("_", " ")] if event.state != "running" else []
        if trial_progress.step:
            words.append(
                f"step {trial_progress.step:,}"
                + (f" of {trial_progress.steps:,}" if trial_progress.steps else "")
            )
        if trial_progress.value is not None:
            words.append(f"{self._metric.replace('_', ' ')} {number(trial_progress.value)}")
        text = "; ".join(filter(None, (", ".join(words), event.note)))
        return f"trial {event.number:03d} ({trial_progress.label}): {text or 'begins'}"

    def words(self) -> str:
        """The trials by state: ``3 of 8 trials have ended: 2 finished, 1 failed; 2 running, 3 waiting``."""
        counts: Counter[str] = Counter(trial_progress.state for trial_progress in self._trials.values())
        counts["waiting"] += self._count - len(self._trials)
        counted = {
            state: f"{counts[state]:,} {state.replace('_', ' ')}" for state in _ORDER if counts[state] > 0
        }
        ended = ", ".join(words for state, words in counted.items() if state in _ENDED)
        others = ", ".join(words for state, words in counted.items() if state not in _ENDED)
        done = sum(counts[state] for state in _ENDED)
        line = f"{done:,} of {self._count:,} trials have ended" + (f": {ended}" if ended else "")
        return "; ".join(filter(None, (line, others)))

    def rows(self) -> list[dict[str, str]]:
        """The trials that have begun, as a table: the best first, the failed last."""
        begun = [item for item in self._trials.items() if item[1].state != "waiting"]
        begun.sort(
            key=lambda item: (item[1].state == "failed", sort_value(item[1].best, self._mode), item[0])
        )
        return [
            {
                "trial": f"{trial:03d}",
                "settings": trial_progress.label,
                "state": trial_progress.state.replace("_", " "),
                "step": f"{trial_progress.step:,}"
                + (f" of {trial_progress.steps:,}" if trial_progress.steps else ""),
                f"{self._metric.replace('_', ' ')}": number(trial_progress.best),
                "last": number(trial_progress.value),
            }
            for trial, trial_progress in begun
        ]
