"""The step schedule: which network each step trains, when to validate, and the learning rate.

All are pure functions of the step.

Steps are numbered from 0 over the whole run. Each takes one batch of the source stream, so that an epoch is one pass
over the images that are edited.
"""

import math
from dataclasses import dataclass

from attgan.training.config import LoopConfig


@dataclass(frozen=True, slots=True)
class StepSchedule:
    """Which step of a run does what.

    Attributes:
        steps_per_epoch: batches in a pass over the source stream.
        steps: of the whole run, at most.
        checks_per_epoch: validations in each epoch.
        discriminator_steps: for each generator step; None where the generator is not trained.
    """

    steps_per_epoch: int
    steps: int
    checks_per_epoch: int
    discriminator_steps: int | None

    def is_generator_step(self, step: int) -> bool:
        """Whether step ``step`` trains the generator: the last one of each cycle."""
        n = self.discriminator_steps
        return n is not None and step % (n + 1) == n

    def generator_steps(self, done: int) -> int:
        """How many of the first ``done`` steps were the generator's."""
        return 0 if self.discriminator_steps is None else done // (self.discriminator_steps + 1)

    def discriminator_steps_of(self, done: int) -> int:
        """How many of the first ``done`` steps were the discriminator's."""
        return done - self.generator_steps(done)

    def is_check(self, done: int) -> bool:
        """Whether to validate after ``done`` steps: before the first, evenly in each epoch, and after the last."""
        parts, whole = self.checks_per_epoch, self.steps_per_epoch
        return done in (0, self.steps) or done * parts // whole != (done - 1) * parts // whole

    def is_epoch_end(self, done: int) -> bool:
        """Whether ``done`` steps are whole epochs, none, or all there are."""
        return done == self.steps or done % self.steps_per_epoch == 0

    def epoch(self, done: int) -> float:
        """How many passes ``done`` steps are."""
        return done / self.steps_per_epoch


def step_schedule(config: LoopConfig, source_rows: int, discriminator_steps: int | None) -> StepSchedule:
    """The schedule of a run over ``source_rows`` rows. The incomplete last batch of each pass is dropped.

    Raises:
        ValueError: fewer rows than one batch.
    """
    per_epoch = source_rows // config.batch_size
    if not per_epoch:
        raise ValueError(f"{source_rows} rows do not fill a batch of {config.batch_size}")
    steps = min(config.epochs * per_epoch, config.max_steps or math.inf)
    return StepSchedule(per_epoch, int(steps), config.checks_per_epoch, discriminator_steps)


def learning_rate(config: LoopConfig, warmup: float, step: int, table: StepSchedule) -> float:
    """A network's learning rate at ``step``.

    Args:
        config: the peak, and the shape after the warm-up.
        warmup: epochs in which the rate rises linearly; at their last step it is at its peak.
        step: counted from 0, of the whole run.
        table: of the run, after whose last step "linear" and "cosine" reach 0.
    """
    rising = warmup * table.steps_per_epoch
    if step + 1 < rising:
        return config.learning_rate * (step + 1) / rising
    share = max(0.0, step - rising) / max(1.0, table.steps - rising)
    falling = {"constant": 1.0, "linear": 1 - share, "cosine": (1 + math.cos(math.pi * share)) / 2}
    return config.learning_rate * falling[config.schedule]
