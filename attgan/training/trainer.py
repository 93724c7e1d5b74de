"""Train AttGAN: from a bundle's networks or from fresh ones, with any strategy, to a result bundle."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from attgan.attributes import check_names
from attgan.data.loading.cache import Report
from attgan.data.loading.loader import Faces
from attgan.models import AttributeClassifier, Discriminator, Generator
from attgan.models.folder import Folder
from attgan.training.attgan_learner import AttganLearner
from attgan.training.config import TrainingConfig
from attgan.training.early_stopping import EarlyStopping
from attgan.training.loop import ShouldStop, run
from attgan.training.losses import LossWeights
from attgan.training.networks import copy_to_device
from attgan.training.paired.losses import PairedWeights, hold_out_pairs
from attgan.training.paired.pairs import PairBatch, render_pairs
from attgan.training.plan import Card, PairedData, TrainingPlan, check_fit, place_evaluator
from attgan.training.run_folder import run_files
from attgan.training.run_folder.ownership import take_over
from attgan.training.run_folder.progress import OnProgress, Outcome
from attgan.training.run_folder.result import finish
from attgan.training.schedule import step_schedule
from attgan.training.strategies import PAIRED, STRATEGIES, Strategy
from attgan.training.strategies.rows import stream_rows, subset_rows
from attgan.training.validation import ValidationDraw, choose_rows, hold_out


class Chosen(NamedTuple):
    """What a training uses of a dataset; :class:`attgan.training.plan.TrainingPlan` describes each field."""

    strategy: Strategy
    attribute: int
    source_rows: np.ndarray
    real_rows: np.ndarray
    held_out_rows: np.ndarray
    validation_seed: int


def choose(faces: Faces, config: TrainingConfig, validation: ValidationDraw | None = None) -> Chosen:
    """Choose the attribute's column and the rows to train and to validate on; ``validation`` as in :func:`train`.

    Raises:
        UserError: there is no such attribute, or there are too few images.
    """
    check_names([config.attribute], faces.attributes, f"--attribute {config.attribute}")
    attribute = faces.attributes.index(config.attribute)
    strategy = STRATEGIES[config.strategy]
    rows = subset_rows(faces, config.subset, attribute, config.seed)
    source_rows, real_rows = stream_rows(faces, rows, strategy, attribute, config.batch_size)
    drawn = validation or ValidationDraw(config.seed, (config.strategy,))
    sharing = [STRATEGIES[name] for name in drawn.strategies]
    held_out_rows = choose_rows(faces, strategy, attribute, config.validation_images, drawn.seed, sharing)
    return Chosen(strategy, attribute, source_rows, real_rows, held_out_rows, drawn.seed)


def make_plan(
    generator: Generator,
    discriminator: Discriminator,
    faces: Faces,
    config: TrainingConfig,
    chosen: Chosen,
    *,
    card: Card,
    evaluator: AttributeClassifier | None = None,
    device: str = "cpu",
    keep_pairs: Path | None = None,
    report_pairs: Report | None = None,
) -> TrainingPlan:
    """Copy the networks to the device and decode the held-out faces. The arguments are those of :func:`train`.

    Raises:
        UserError: a part of the dataset is missing or changed.
    """
    networks = copy_to_device(
        generator, discriminator, config, device, train_generator=True, freeze_d=config.freeze_d
    )
    paired = (
        _paired_data(config, faces, chosen, networks.device, keep_pairs, report_pairs)
        if chosen.strategy is PAIRED
        else None
    )
    return TrainingPlan(
        config=config,
        strategy=chosen.strategy,
        attribute=chosen.attribute,
        weights=LossWeights(
            config.lambda_reconstruction,
            config.lambda_attributes,
            config.lambda_classification,
            config.lambda_penalty,
        ),
        generator_warmup=config.generator_warmup,
        networks=networks,
        faces=faces,
        source_rows=chosen.source_rows,
        real_rows=chosen.real_rows,
        table=step_schedule(
            config, len(chosen.source_rows), config.discriminator_steps if paired is None else 0
        ),
        held_out=hold_out(
            faces,
            chosen.held_out_rows,
            strategy=chosen.strategy,
            attribute=chosen.attribute,
            seed=chosen.validation_seed,
            device=networks.device,
        ),
        rule=EarlyStopping(config.patience),
        card=replace(card, classifier=evaluator) if card.classifier is None else card,
        evaluator=place_evaluator(card.classifier if evaluator is None else evaluator, networks.device),
        paired=paired,
    )


def train(
    generator: Generator,
    discriminator: Discriminator,
    faces: Faces,
    config: TrainingConfig,
    folder: Folder,
    *,
    card: Card,
    evaluator: AttributeClassifier | None = None,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    keep_pairs: Path | None = None,
    report_pairs: Report | None = None,
    validation: ValidationDraw | None = None,
) -> Outcome:
    """Train both networks. A run in ``folder`` is resumed; if it has finished, its result is returned.

    A second process that trains in the same folder takes over the run, and the first one ends without writing more.
    On a CPU, with the same number of threads, an interrupted run gives bit for bit the result of an uninterrupted one.

    Args:
        generator, discriminator: the starting weights, the same ones whenever a run is resumed. They are copied.
        faces: opened with the attributes of the networks, in their order.
        config: everything that decides the result.
        folder: of the run, on a disk or on S3. It receives ``run.json``, ``checkpoints/``, ``metrics.jsonl``,
            ``progress.json``, ``curves.png``, ``grids/``, ``best/step-…/`` (the best bundle so far), and at the end
            ``bundle/`` (the best bundle) and ``result.json``. Where no classifier can score edits there is no best
            bundle, and the result is the last state.
        card: for the bundles. If it has no classifier, they receive the evaluator.
        evaluator: classifies edited faces; of the same attributes. By default the card's classifier; without one the
            discriminator, if the strategy shows it all images as real.
        device: ``cpu``, ``cuda``, ``cuda:1`` …
        on_progress: called about every two seconds, and at each validation.
        should_stop: called before each step; if it returns True the state is saved and the call returns.
        keep_pairs: a folder on this machine's disk where the paired strategy keeps its rendered pairs.
        report_pairs: called with the number of faces rendered so far and the number of all.
        validation: of trainings that are compared; by default the settings draw the faces to validate on.

    Raises:
        UserError: the folder holds another run, there are too few images, a part of the data is damaged, the disk is
            full, or another process has taken over the run.
        Diverged: a loss or a weight is not finite or exploded. The last good state stays saved.
        ValueError: networks and faces do not fit together.
        OSError: any other error of the filesystem.
    """
    # A flow's settings inherit from this model. The fields that they add must not enter the config fingerprint.
    config = TrainingConfig(**{name: getattr(config, name) for name in TrainingConfig.model_fields})
    check_fit(generator, discriminator, faces, card.classifier, evaluator)
    chosen = choose(faces, config, validation)
    wanted = run_files.config_fingerprint(
        "training",
        config,
        faces,
        generator,
        discriminator,
        device=device,
        classifier=card.classifier,
        evaluator=evaluator,
    )
    run_files.begin(folder, wanted)
    if (result := run_files.read_result(folder)) is not None:
        return result
    plan = make_plan(
        generator,
        discriminator,
        faces,
        config,
        chosen,
        card=card,
        evaluator=evaluator,
        device=device,
        keep_pairs=keep_pairs,
        report_pairs=report_pairs,
    )
    owned = take_over(folder)
    return finish(plan, owned, run(AttganLearner(plan), owned, on_progress, should_stop))


def _paired_data(
    config: TrainingConfig,
    faces: Faces,
    chosen: Chosen,
    device: torch.device,
    keep: Path | None,
    report: Report | None,
) -> PairedData:
    """Render the pairs of the paired strategy: for the rows to train on, and for the held-out faces without glasses."""
    held_out_rows, attribute, seed = chosen.held_out_rows, chosen.attribute, chosen.validation_seed
    bare = held_out_rows[~faces.labels[held_out_rows, attribute]]
    threads = torch.get_num_threads()
    held_out = render_pairs(faces, bare, variants=4, seed=seed, threads=threads, keep=keep)
    fixed = hold_out_pairs(held_out, faces.labels[bare], attribute, seed)
    return PairedData(
        pairs=render_pairs(
            faces,
            chosen.source_rows,
            variants=config.pair_variants,
            seed=config.seed,
            threads=threads,
            keep=keep,
            report=report,
        ),
        held_out=[PairBatch(*(tensor.to(device) for tensor in batch)) for batch in fixed],
        weights=PairedWeights(config.lambda_pairs, config.lambda_edges, config.lambda_reconstruction),
        flip=config.flip,
    )
