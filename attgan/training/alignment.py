"""Alignment: train a discriminator for a generator whose own discriminator was not published.

The generator is frozen and in evaluation mode: nothing of it changes, not even the statistics of its batch norms. The
discriminator is trained with the strategy Permutation until it separates real faces from edited ones, predicts the
attributes, and its loss has become flat.
"""

from attgan.data.loading.loader import Faces
from attgan.models import Discriminator, Generator
from attgan.models.folder import Folder
from attgan.training.attgan_learner import AttganLearner
from attgan.training.config import AlignmentConfig
from attgan.training.early_stopping import AlignmentStopRule
from attgan.training.loop import ShouldStop, run
from attgan.training.losses import LossWeights
from attgan.training.networks import copy_to_device
from attgan.training.plan import Card, TrainingPlan, check_fit
from attgan.training.run_folder import run_files
from attgan.training.run_folder.ownership import take_over
from attgan.training.run_folder.progress import OnProgress, Outcome
from attgan.training.run_folder.result import finish
from attgan.training.schedule import step_schedule
from attgan.training.strategies import STRATEGIES
from attgan.training.strategies.rows import random_rows, stream_rows
from attgan.training.validation import choose_rows, hold_out


def align(
    generator: Generator,
    discriminator: Discriminator,
    faces: Faces,
    config: AlignmentConfig,
    folder: Folder,
    *,
    card: Card,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> Outcome:
    """Train the discriminator alone. A run in ``folder`` is resumed.

    The result bundle holds the unchanged generator and the last discriminator. Everything else is as in
    :func:`attgan.training.trainer.train`, except that there is no ``best/`` and no grid, since the generator does not
    change.

    Args:
        generator: the discriminator is trained on its edits. Copied, and never changed.
        discriminator: freshly initialised or already trained. Copied.
        faces: opened with the attributes of the networks, in their order. Their attributes should be as frequent as
            in the world: the reference study takes 70,000 drawn at random, and never the extended subset.
        config: everything that decides the result.
        folder, card, device, on_progress, should_stop: as for training.

    Raises:
        UserError, Diverged, ValueError, OSError: as for training.
    """
    # A flow's settings inherit from this model. The fields that they add must not enter the config fingerprint.
    config = AlignmentConfig(**{name: getattr(config, name) for name in AlignmentConfig.model_fields})
    check_fit(generator, discriminator, faces)
    strategy = STRATEGIES["permutation"]
    rows = random_rows(faces, config.random_images, config.seed)
    source_rows, real_rows = stream_rows(faces, rows, strategy, 0, config.batch_size)
    held_out_rows = choose_rows(faces, strategy, None, config.validation_images, config.seed)
    wanted = run_files.config_fingerprint(
        "alignment", config, faces, generator, discriminator, device=device, classifier=card.classifier
    )
    run_files.begin(folder, wanted)
    if (result := run_files.read_result(folder)) is not None:
        return result
    networks = copy_to_device(generator, discriminator, config, device, train_generator=False)
    plan = TrainingPlan(
        config=config,
        strategy=strategy,
        attribute=None,
        weights=LossWeights(
            discriminator_attributes=config.lambda_classification, gradient_penalty=config.lambda_penalty
        ),
        generator_warmup=0,
        networks=networks,
        faces=faces,
        source_rows=source_rows,
        real_rows=real_rows,
        table=step_schedule(config, len(source_rows), None),
        held_out=hold_out(
            faces,
            held_out_rows,
            strategy=strategy,
            attribute=None,
            seed=config.seed,
            device=networks.device,
        ),
        rule=AlignmentStopRule(
            config.critic_accuracy, config.classifier_accuracy, config.patience, config.flatness
        ),
        card=card,
    )
    owned = take_over(folder)
    return finish(plan, owned, run(AttganLearner(plan), owned, on_progress, should_stop))
