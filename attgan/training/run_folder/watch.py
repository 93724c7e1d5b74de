"""Monitors a running training: reads the losses, logs, reports and plots them, and raises when they diverge."""

import math
import time
from collections.abc import Mapping

import torch

from attgan.errors import Diverged
from attgan.training.learner import Learner, Stepped
from attgan.training.run_folder.metrics_log import MetricsLog
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.progress import Doing, OnProgress, Progress, Reporter
from attgan.training.run_folder.state import State

# Seconds between two drawings of the curves, each of which takes most of a second.
_CURVES_AFTER = 30.0


class Watch:
    """Collects the losses of the latest steps on the device, and reads them all at once.

    So the host does not wait for the GPU in every step, and a step that diverged is still named by its number.
    """

    def __init__(
        self, learner: Learner, folder: OwnedFolder, state: State, on_progress: OnProgress | None
    ) -> None:
        self._learner = learner
        self._folder = folder
        self._log = MetricsLog(folder, state.resumed_from)
        self._reporter = Reporter(folder, on_progress)
        self._pending: list[tuple[int, Stepped]] = []
        self._losses: dict[str, float] = {}
        self._drawn = -math.inf

    def stepped(self, state: State, stepped: Stepped) -> None:
        """Record a finished step; ``state`` counts it already.

        Raises:
            Diverged: this or an earlier step diverged, which shows only when the losses are read.
        """
        self._pending.append((state.step, stepped))
        self._reporter.count(self._learner.config.batch_size)
        if state.split.since == state.step:
            self.report(state, note=state.split.words(self._learner.config.batch_size))
        if state.step % self._learner.config.log_every == 0:
            self.read_losses(state)
        if self._reporter.due:
            self.read_losses(state)
            self._log.flush_if_cheap()
            self.report(state)

    def read_losses(self, state: State) -> None:
        """Wait for the device, and log the losses that it computed.

        Raises:
            Diverged: a loss is not finite or beyond the limit.
        """
        pending, self._pending = self._pending, []
        limit = self._learner.config.explode_above
        if not pending:
            return
        values = torch.stack([loss for _, stepped in pending for loss in stepped.losses.values()]).tolist()
        for step, stepped in pending:
            names = [*stepped.losses]
            losses, values = dict(zip(names, values, strict=False)), values[len(names) :]
            row = {"kind": "step", "step": step, "network": stepped.network, "learning_rate": stepped.rate}
            split = {} if stepped.part_size is None else {"part_size": stepped.part_size}
            self._log.add(row | split | losses)
            self._losses |= {f"{stepped.network}/{name}": loss for name, loss in losses.items()}
            self._refuse_diverged(losses, f"the {stepped.network}'s loss", step, state, limit)

    def checked(self, state: State, better: bool) -> None:
        """Record a validation.

        Raises:
            Diverged: one of its numbers is not finite.
        """
        row = {"kind": "check", "step": state.step, "epoch": self._learner.epoch(state.step)}
        self._log.add(row | dict(state.numbers))
        self._refuse_diverged(state.numbers, "the validation's", state.step, state, math.inf)
        self.flush()
        self._learner.draw(self._folder, state.step)
        if state.step and time.monotonic() - self._drawn > _CURVES_AFTER:
            self._learner.draw_curves(self._folder, self._log)
            self._drawn = time.monotonic()
        self.report(state, note="best so far" if better else "")

    def report(self, state: State, doing: Doing = "training", note: str = "") -> None:
        """Report the progress now."""
        self._reporter.report(
            Progress(
                state=doing,
                step=state.step,
                steps=self._learner.steps,
                epoch=self._learner.epoch(state.step),
                losses=self._losses,
                check=state.numbers,
                note=note,
                checked=state.checked,
            )
        )

    def end(self, state: State, doing: Doing, note: str) -> None:
        """Write the last rows, curves and progress report of a run that ends."""
        self.flush()
        self._learner.draw_curves(self._folder, self._log)
        self.report(state, doing, note)

    def flush(self) -> None:
        """Write the new rows of metrics."""
        self._log.flush()

    def _refuse_diverged(
        self, numbers: Mapping[str, float], whose: str, step: int, state: State, limit: float
    ) -> None:
        # The total comes last: the message should name the loss that caused it.
        for name, value in sorted(numbers.items(), key=lambda item: item[0] == "total"):
            if not math.isfinite(value) or abs(value) > limit:
                problem = (
                    f"exploded ({value:.3g}, above {limit:g})" if math.isfinite(value) else f"is {value}"
                )
                raise Diverged(f"{whose} {name!r} {problem} at step {step}; {kept_words(state)}")


def kept_words(state: State) -> str:
    """Which states of a run are saved, in words."""
    if state.saved is None:
        return "no state was kept"
    best = f", the best one of step {state.best.step}" if state.best and state.best.networks is None else ""
    return f"the state of step {state.saved} is kept{best}"
