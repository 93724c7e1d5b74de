"""The loop that training and alignment share: read :func:`run` from top to bottom."""

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from attgan.data.loading.decoding import use_one_torch_thread
from attgan.data.loading.prefetch import Prefetched
from attgan.errors import Diverged
from attgan.training.networks import set_rate
from attgan.training.paired.losses import paired_losses, validate_pairs
from attgan.training.paired.pairs import PairBatch, draw_pairs
from attgan.training.plan import PairedData, TrainingPlan
from attgan.training.run_folder.checkpoint import room_for
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.progress import OnProgress
from attgan.training.run_folder.state import State, load_state, save_state
from attgan.training.run_folder.watch import Stepped, Watch, kept_words
from attgan.training.schedule import learning_rate
from attgan.training.steps import Draw, Network, backward, discriminator_losses, draw, generator_losses
from attgan.training.strategies import network_values
from attgan.training.transfer import Placed, placed, to_device
from attgan.training.validation import validate

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
    plan: TrainingPlan,
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
    with room_for(folder, "the run's files"), ExitStack() as ending:
        state = load_state(plan, folder)
        watch = Watch(plan, folder, state, on_progress)
        saving = _Saving(plan, folder, watch)
        table = plan.table
        step = ending.enter_context(closing(open_steps(plan, state.step)))
        watch.report(state, note=_first_words(plan, state))
        try:
            while True:
                if table.is_check(state.step) and state.checked < state.step:
                    watch.read_losses(state)
                    better = _check(plan, state)
                    watch.checked(state, better)
                    saving.after_check(state)
                reason = state.rule.reason
                if state.step == table.steps:
                    reason = f"all {table.steps:,} steps done"
                stopped = reason is None and should_stop is not None and should_stop()
                if reason is not None or stopped:
                    saving.now(state)
                    return Ending(state, reason, watch)
                saving.if_due(state)
                stepped = next(step)
                state.step += 1
                watch.stepped(state, stepped)
        except Diverged as error:
            watch.end(state, "diverged", str(error))
            raise


def open_steps(plan: TrainingPlan, start: int) -> Generator[Stepped, None, None]:
    """The steps from ``start`` on, without end. Each is done when it is asked for, with the batches that it takes."""
    table = plan.table
    with ExitStack() as ending:
        if plan.paired is not None:
            pairs = ending.enter_context(closing(open_pairs(plan, plan.paired, start)))
            for number, batch in enumerate(pairs, start):
                yield paired_step(plan, plan.paired, number, batch)
            return
        source = ending.enter_context(closing(open_stream(plan, "source", plan.source_rows, start)))
        real = source
        if plan.strategy.real != plan.strategy.source:
            begun = table.discriminator_steps_of(start)
            real = ending.enter_context(closing(open_stream(plan, "real", plan.real_rows, begun)))
        for number, images in enumerate(source, start):
            if table.is_generator_step(number):
                yield generator_step(plan, number, images)
            else:
                yield discriminator_step(plan, number, images, images if real is source else next(real))


def _check(plan: TrainingPlan, state: State) -> bool:
    """Validate, and return whether this is the best state so far. Before the first step it is for comparison only."""
    state.numbers = _validated(plan)
    state.checked = state.step
    if state.step == 0:
        return False
    state.rule = state.rule.after(state.numbers)
    return plan.keeps_best and state.keep_if_best(plan)


def _validated(plan: TrainingPlan) -> dict[str, float]:
    networks, paired = plan.networks, plan.paired
    if paired is None:
        return validate(
            networks,
            plan.held_out,
            plan.weights,
            plan.config.adversarial,
            plan.evaluator,
            edits=plan.keeps_best,
        )
    networks.evaluate()
    numbers = validate_pairs(
        networks.generator, paired.held_out, paired.weights, plan.evaluator, plan.attribute or 0
    )
    networks.train()
    return numbers


def paired_step(plan: TrainingPlan, paired: PairedData, step: int, batch: PairBatch) -> Stepped:
    """One generator step on pairs, with the optimiser's update."""
    networks, config = plan.networks, plan.config
    assert networks.generator_adam is not None
    placed_pairs = PairBatch(*(to_device(tensor, networks.device) for tensor in batch))
    with torch.autocast(networks.device.type, torch.bfloat16, enabled=networks.precision == "bfloat16"):
        losses = paired_losses(networks.generator, placed_pairs, paired.weights)
    rate = learning_rate(config, plan.generator_warmup, step, plan.table)
    _descend(networks.generator, networks.generator_adam, losses.total, rate, config.clip_gradients)
    return Stepped("generator", rate, losses._replace(total=losses.total.detach()))


def discriminator_step(plan: TrainingPlan, step: int, batch: Placed, real: Placed) -> Stepped:
    """One discriminator step, with the optimiser's update. ``step`` counts the steps of both networks.

    The fakes are edits of ``batch``. Where both streams are the same, ``batch`` is also what is shown as real.
    """
    networks, config = plan.networks, plan.config
    drawn = _draw(plan, "discriminator", plan.table.discriminator_steps_of(step), batch.host_labels)
    losses = discriminator_losses(
        networks.generator,
        networks.discriminator,
        real=real.images,
        real_labels=real.labels,
        source=batch.images,
        source_targets=to_device(drawn.target_values, networks.device),
        alpha=to_device(drawn.alpha, networks.device),
        noise=None if drawn.noise is None else to_device(drawn.noise, networks.device),
        weights=plan.weights,
        mode=config.adversarial,
        precision=networks.precision,
    )
    rate = learning_rate(config, config.discriminator_warmup, step, plan.table)
    _descend(networks.discriminator, networks.discriminator_adam, losses.total, rate, config.clip_gradients)
    return Stepped("discriminator", rate, losses._replace(total=losses.total.detach()))


def generator_step(plan: TrainingPlan, step: int, batch: Placed) -> Stepped:
    """One generator step, with the optimiser's update. ``step`` counts the steps of both networks."""
    networks, config = plan.networks, plan.config
    assert networks.generator_adam is not None
    drawn = _draw(plan, "generator", plan.table.generator_steps(step), batch.host_labels)
    losses = generator_losses(
        networks.generator,
        networks.discriminator,
        images=batch.images,
        labels=network_values(batch.labels, "fixed", torch.Generator()),
        targets=to_device(drawn.targets, networks.device),
        target_values=to_device(drawn.target_values, networks.device),
        weights=plan.weights,
        mode=config.adversarial,
        precision=networks.precision,
    )
    rate = learning_rate(config, plan.generator_warmup, step, plan.table)
    _descend(networks.generator, networks.generator_adam, losses.total, rate, config.clip_gradients)
    return Stepped("generator", rate, losses._replace(total=losses.total.detach()))


def _descend(
    network: nn.Module, optimiser: torch.optim.Adam, loss: Tensor, rate: float, clip: float | None
) -> None:
    optimiser.zero_grad()
    backward(loss, network)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
    set_rate(optimiser, rate)
    optimiser.step()


def _draw(plan: TrainingPlan, network: Network, step: int, labels: Tensor) -> Draw:
    return draw(
        labels,
        seed=plan.config.seed,
        network=network,
        step=step,
        strategy=plan.strategy,
        attribute=plan.attribute or 0,
        intensities=plan.config.intensities,
        mode=plan.config.adversarial,
        image_size=plan.faces.size,
    )


def open_pairs(plan: TrainingPlan, paired: PairedData, start: int) -> Prefetched[PairBatch]:
    """The pairs of each step from ``start`` on. A thread of its own draws them while the step before is computed."""
    config = plan.config

    def drawn() -> Generator[PairBatch, None, None]:
        use_one_torch_thread()
        batches = plan.faces.batches(
            plan.source_rows, config.batch_size, seed=config.seed, name="source", start=start, flip=False
        )
        for step, batch in enumerate(batches, start):
            yield draw_pairs(
                paired.pairs,
                batch.rows,
                batch.labels,
                attribute=plan.attribute or 0,
                seed=config.seed,
                purpose="pairs",
                step=step,
                flip=paired.flip,
            )

    return Prefetched(drawn, depth=2, name="draw pairs")


def open_stream(plan: TrainingPlan, name: str, rows: np.ndarray, start: int) -> Generator[Placed, None, None]:
    """The batches of one stream on their device, from batch ``start`` on."""
    config, device = plan.config, plan.networks.device
    batches = plan.faces.batches(
        rows,
        config.batch_size,
        seed=config.seed,
        name=name,
        start=start,
        flip=config.flip,
        pin=device.type == "cuda",
    )
    return placed(batches, device)


def _first_words(plan: TrainingPlan, state: State) -> str:
    """The note of the first progress report: steps, device, precision, resumed step, and what FreezeD freezes."""
    table = plan.table
    words = f"{table.steps:,} steps, {table.steps_per_epoch:,} in an epoch"
    words += f"; on {plan.networks.device.type} in {plan.networks.precision}"
    if state.resumed_from is not None:
        words += f"; resumed after step {state.resumed_from:,}"
    frozen = plan.networks.frozen
    if frozen:
        words += f"; FreezeD: {len(frozen)} frozen: {', '.join(frozen)}"
    return "; ".join(filter(None, (words, plan.without_best)))


class _Saving:
    """Decides when to save the state: at validations, unless that costs too much time, and after a long pause."""

    def __init__(self, plan: TrainingPlan, folder: OwnedFolder, watch: Watch) -> None:
        self._plan = plan
        self._folder = folder
        self._watch = watch
        self._saved = time.monotonic()
        # Seconds that the last save took.
        self._cost = 0.0

    def after_check(self, state: State) -> None:
        if state.step and self._cost <= _SAVE_COST * (time.monotonic() - self._saved):
            self.now(state)

    def if_due(self, state: State) -> None:
        every = self._plan.config.checkpoint_every
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
            save_state(self._plan, self._folder, state)
        except Diverged as error:
            raise Diverged(f"{error}; {kept_words(state)}") from None
        self._saved = time.monotonic()
        self._cost = self._saved - began
