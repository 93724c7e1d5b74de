"""AttGAN in the training loop: its steps, validations, checkpoints and pictures."""

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attgan.data.loading.decoding import use_one_torch_thread
from attgan.data.loading.prefetch import Prefetched
from attgan.training.config import LoopConfig
from attgan.training.device import Placed, placed, to_device
from attgan.training.early_stopping import EarlyStopping
from attgan.training.learner import Stepped
from attgan.training.networks import set_rate
from attgan.training.paired.losses import paired_losses, validate_pairs
from attgan.training.paired.pairs import PairBatch, draw_pairs
from attgan.training.plan import PairedData, TrainingPlan
from attgan.training.run_folder.metrics_log import MetricsLog
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.pictures import write_curves, write_grid, write_pair_grid
from attgan.training.run_folder.state import State, load_state, save_state
from attgan.training.schedule import learning_rate
from attgan.training.steps import Draw, Network, backward, discriminator_losses, draw, generator_losses
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
        return "; ".join(filter(None, (words, self.plan.without_best)))

    def open_steps(self, start: int) -> Generator[Stepped, None, None]:  # noqa: D102
        return open_steps(self.plan, start)

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
        """Write a grid at the end of each epoch."""
        plan = self.plan
        if not plan.table.is_epoch_end(step):
            return
        if plan.paired is not None:
            write_pair_grid(folder, plan.networks, plan.paired.held_out, step)
        else:
            write_grid(folder, plan.networks, plan.held_out, step)

    def draw_curves(self, folder: OwnedFolder, log: MetricsLog) -> None:  # noqa: D102
        write_curves(folder, log)


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
    return Stepped("generator", rate, _detached(losses))


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
    return Stepped("discriminator", rate, _detached(losses))


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
    return Stepped("generator", rate, _detached(losses))


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


def _detached(losses: NamedTuple) -> dict[str, Tensor]:
    """The losses by name, without the graph behind them, which would keep the step's memory."""
    return {name: loss.detach() for name, loss in losses._asdict().items()}
