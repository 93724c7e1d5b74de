"""The loop of every training: AttGAN's, an alignment's and the classifier's. Read :func:`run` from top to bottom."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from attgan.errors import Diverged
from attgan.training.learner import Learner
from attgan.training.run_folder.checkpoint import explaining_full_disk
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.progress import OnProgress
from attgan.training.run_folder.state import State
from attgan.training.run_folder.watch import Watch, kept_words

ShouldStop = Callable[[], bool]

# Seconds after which a checkpoint is written in any case: a killed run repeats at most so much work.
_SAVE_AFTER = 300.0
# Largest share of the time that checkpoints at validations may take. At full width each is 1 GB.
_SAVE_COST = 0.05


@dataclass(frozen=True)
class Ending:
    """How the loop ended.

    Attributes:
        state: the last one, which has been saved.
        reason: why the run is complete; None if it was asked to stop.
        watch: writes the final progress report.
    """

    state: State
    reason: str | None
    watch: Watch


def run(
    learner: Learner,
    folder: OwnedFolder,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> Ending:
    """Train until the stop rule, the last step or ``should_stop`` ends the run. The last state is saved in each case.

    Raises:
        Diverged: a loss or a weight is not finite or exploded. The last good state stays saved.
        UserError: the disk is full, a part of the dataset is missing or changed, or another process has taken over the
            run.
        OSError: any other error of the filesystem.
    """
    with explaining_full_disk(folder, "the run's files"):
        state = learner.load(folder)
        watch = Watch(learner, folder, state, on_progress)
        saving = _Saving(learner, folder, watch)
        with closing(learner.open_steps(state)) as steps:
            watch.report(state, note=learner.opening(state))
            try:
                while True:
                    if learner.is_check(state.step) and state.checked < state.step:
                        watch.read_losses(state)
                        better = learner.validate(state)
                        watch.checked(state, better)
                        saving.after_check(state)
                    reason = state.rule.reason
                    if state.step == learner.steps:
                        reason = f"all {learner.steps:,} steps done"
                    stopped = reason is None and should_stop is not None and should_stop()
                    if reason is not None or stopped:
                        saving.now(state)
                        return Ending(state, reason, watch)
                    saving.if_due(state)
                    stepped = next(steps)
                    state.step += 1
                    watch.stepped(state, stepped)
            except Diverged as error:
                watch.end(state, "diverged", str(error))
                raise


class _Saving:
    """Decides when to save the state: at validations, unless that costs too much time, and after a long pause."""

    def __init__(self, learner: Learner, folder: OwnedFolder, watch: Watch) -> None:
        self._learner = learner
        self._folder = folder
        self._watch = watch
        self._saved = time.monotonic()
        # Seconds that the last save took.
        self._cost = 0.0

    def after_check(self, state: State) -> None:
        if state.step and self._cost <= _SAVE_COST * (time.monotonic() - self._saved):
            self.now(state)

    def if_due(self, state: State) -> None:
        every = self._learner.config.checkpoint_every
        counted = every is not None and state.step % every == 0
        if state.step and (counted or time.monotonic() - self._saved > _SAVE_AFTER):
            self.now(state)

    def now(self, state: State) -> None:
        """Save the state, once its losses are known to be finite and its metrics are written."""
        if state.saved == state.step:
            return
        began = time.monotonic()
        self._watch.read_losses(state)
        self._watch.flush()
        try:
            self._learner.save(self._folder, state)
        except Diverged as error:
            raise Diverged(f"{error}; {kept_words(state)}") from None
        self._saved = time.monotonic()
        self._cost = self._saved - began
