"""AttGAN in the training loop: its steps, validations, checkpoints and pictures."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from attgan.data.loading.decoding import use_one_torch_thread
from attgan.data.loading.prefetch import Prefetched
from attgan.training.config import LoopConfig
from attgan.training.device import Placed, Split, fit, placed, to_device
from attgan.training.early_stopping import EarlyStopping
from attgan.training.learner import Stepped
from attgan.training.networks import set_rate
from attgan.training.paired.losses import PairedLosses, paired_losses, validate_pairs
from attgan.training.paired.pairs import PairBatch, draw_pairs
from attgan.training.plan import PairedData, TrainingPlan
from attgan.training.run_folder.metrics_log import MetricsLog
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.pictures import write_curves, write_grid, write_pair_grid
from attgan.training.run_folder.state import State, load_state, save_state
from attgan.training.schedule import learning_rate
from attgan.training.steps import (
    DiscriminatorLosses,
    Draw,
    GeneratorLosses,
    Network,
    backward,
    discriminator_losses,
    draw,
    generator_losses,
)
from attgan.training.strategies import network_values
from attgan.training.validation import validate


@dataclass(frozen=True)
class AttganLearner:
    """A training or an alignment as :class:`attgan.training.learner.Learner`, whose docstrings apply."""

    plan: TrainingPlan

    @property
    def config(self) -> LoopConfig:  # noqa: D102
        return self.plan.config

    @property
    def steps(self) -> int:  # noqa: D102
        return self.plan.table.steps

    def epoch(self, done: int) -> float:  # noqa: D102
        return self.plan.table.epoch(done)

    def is_check(self, done: int) -> bool:  # noqa: D102
        return self.plan.table.is_check(done)

    def opening(self, state: State) -> str:
        """Steps, device, precision, where the run resumes, what FreezeD freezes, and an older version's patience."""
        table, networks = self.plan.table, self.plan.networks
        words = f"{table.steps:,} steps, {table.steps_per_epoch:,} in an epoch"
        words += f"; on {networks.device.type} in {networks.precision}"
        if state.resumed_from is not None:
            words += f"; resumed after step {state.resumed_from:,}"
        if networks.frozen:
            words += f"; FreezeD: {len(networks.frozen)} frozen: {', '.join(networks.frozen)}"
        rule = state.rule
        if isinstance(rule, EarlyStopping) and rule.patience and rule.counts == "validations":
            words += (
                f"; patience: {rule.patience} validations, as in the version that began this run, not epochs"
            )
        return "; ".join(
            filter(None, (words, state.split.words(self.config.batch_size), self.plan.without_best))
        )

    def open_steps(self, state: State) -> Generator[Stepped, None, None]:
        """The steps, whose batches are split where the GPU's memory does not hold them; the state records it."""
        return open_steps(self.plan, state.step, state.split)

    def validate(self, state: State) -> bool:
        """Validate. Before the first step the numbers are for comparison only."""
        state.numbers = _validated(self.plan)
        state.checked = state.step
        if state.step == 0:
            return False
        state.rule = state.rule.after(state.numbers, epoch_end=self.plan.table.is_epoch_end(state.step))
        return self.plan.keeps_best and state.keep_if_best(self.plan)

    def load(self, folder: OwnedFolder) -> State:  # noqa: D102
        return load_state(self.plan, folder)

    def save(self, folder: OwnedFolder, state: State) -> None:  # noqa: D102
        save_state(self.plan, folder, state)

    def draw(self, folder: OwnedFolder, step: int) -> None:
        """Write a grid of faces at the end of each epoch, unless no face is to be shown."""
        plan = self.plan
        if self.config.no_faces or not plan.table.is_epoch_end(step):
            return
        if plan.paired is not None:
            write_pair_grid(folder, plan.networks, plan.paired.held_out, step)
        else:
            write_grid(folder, plan.networks, plan.held_out, step)

    def draw_curves(self, folder: OwnedFolder, log: MetricsLog) -> None:  # noqa: D102
        write_curves(folder, log)


def open_steps(plan: TrainingPlan, start: int, split: Split) -> Generator[Stepped, None, None]:
    """The steps from ``start`` on, without end. Each is done when it is asked for, with the batches that it takes."""
    table, size = plan.table, plan.config.batch_size
    with ExitStack() as ending:
        if plan.paired is not None:
            pairs = ending.enter_context(closing(open_pairs(plan, plan.paired, start)))
            for number, batch in enumerate(pairs, start):
                step = partial(paired_step, plan, plan.paired, number, batch)
                yield fit(step, split, number + 1, size)
            return
        source = ending.enter_context(closing(open_stream(plan, "source", plan.source_rows, start)))
        real = source
        if plan.strategy.real != plan.strategy.source:
            begun = table.discriminator_steps_of(start)
            real = ending.enter_context(closing(open_stream(plan, "real", plan.real_rows, begun)))
        for number, images in enumerate(source, start):
            if table.is_generator_step(number):
                step = partial(generator_step, plan, number, images)
            else:
                shown = images if real is source else next(real)
                step = partial(discriminator_step, plan, number, images, shown)
            yield fit(step, split, number + 1, size)


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


def paired_step(
    plan: TrainingPlan, paired: PairedData, step: int, batch: PairBatch, part_size: int | None = None
) -> Stepped:
    """One generator step on pairs, with the optimiser's update."""
    networks = plan.networks
    assert networks.generator_adam is not None
    pairs = PairBatch(*(to_device(tensor, networks.device) for tensor in batch))

    def losses(part: slice) -> PairedLosses:
        with torch.autocast(networks.device.type, torch.bfloat16, enabled=networks.precision == "bfloat16"):
            return paired_losses(
                networks.generator, PairBatch(*(tensor[part] for tensor in pairs)), paired.weights
            )

    rate = learning_rate(plan.config, plan.generator_warmup, step, plan.table)
    total = _descend(plan, networks.generator, networks.generator_adam, losses, rate, part_size)
    return Stepped("generator", rate, total, part_size)


def discriminator_step(
    plan: TrainingPlan, step: int, batch: Placed, real: Placed, part_size: int | None = None
) -> Stepped:
    """One discriminator step, with the optimiser's update. ``step`` counts the steps of both networks.

    The fakes are edits of ``batch``. Where both streams are the same, ``batch`` is also what is shown as real.
    """
    networks, config = plan.networks, plan.config
    drawn = _draw(plan, "discriminator", plan.table.discriminator_steps_of(step), batch.host_labels)
    targets = to_device(drawn.target_values, networks.device)
    alpha = to_device(drawn.alpha, networks.device)
    noise = None if drawn.noise is None else to_device(drawn.noise, networks.device)

    def losses(part: slice) -> DiscriminatorLosses:
        return discriminator_losses(
            networks.generator,
            networks.discriminator,
            real=real.images[part],
            real_labels=real.labels[part],
            source=batch.images[part],
            source_targets=targets[part],
            alpha=alpha[part],
            noise=None if noise is None else noise[part],
            weights=plan.weights,
            mode=config.adversarial,
            precision=networks.precision,
        )

    rate = learning_rate(config, config.discriminator_warmup, step, plan.table)
    total = _descend(plan, networks.discriminator, networks.discriminator_adam, losses, rate, part_size)
    return Stepped("discriminator", rate, total, part_size)


def generator_step(plan: TrainingPlan, step: int, batch: Placed, part_size: int | None = None) -> Stepped:
    """One generator step, with the optimiser's update. ``step`` counts the steps of both networks."""
    networks, config = plan.networks, plan.config
    assert networks.generator_adam is not None
    drawn = _draw(plan, "generator", plan.table.generator_steps(step), batch.host_labels)
    labels = network_values(batch.labels, "fixed", torch.Generator())
    targets = to_device(drawn.targets, networks.device)
    values = to_device(drawn.target_values, networks.device)

    def losses(part: slice) -> GeneratorLosses:
        return generator_losses(
            networks.generator,
            networks.discriminator,
            images=batch.images[part],
            labels=labels[part],
            targets=targets[part],
            target_values=values[part],
            weights=plan.weights,
            mode=config.adversarial,
            precision=networks.precision,
        )

    rate = learning_rate(config, plan.generator_warmup, step, plan.table)
    total = _descend(plan, networks.generator, networks.generator_adam, losses, rate, part_size)
    return Stepped("generator", rate, total, part_size)


def _descend(
    plan: TrainingPlan,
    network: nn.Module,
    optimiser: torch.optim.Adam,
    losses_of: Callable[[slice], PairedLosses | DiscriminatorLosses | GeneratorLosses],
    rate: float,
    part_size: int | None,
) -> dict[str, Tensor]:
    """Update the network by the gradient of a whole batch, which is computed part by part; returns the mean losses."""
    count, clip = plan.config.batch_size, plan.config.clip_gradients
    mean: dict[str, Tensor] = {}
    optimiser.zero_grad()
    for start in range(0, count, part_size or count):
        part = slice(start, min(start + (part_size or count), count))
        share = (part.stop - part.start) / count
        losses = losses_of(part)
        backward(losses.total * share, network)
        for name, loss in losses._asdict().items():
            # Detached from the graph, which would keep the part's memory.
            mean[name] = mean.get(name, 0) + loss.detach() * share
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
    set_rate(optimiser, rate)
    optimiser.step()
    return mean


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
