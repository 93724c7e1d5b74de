"""Before the first trial: make the data, an evaluator and an aligned discriminator, as far as they are missing."""

from __future__ import annotations

from attgan.attributes import PUBLISHED
from attgan.data.manifest import MANIFEST
from attgan.errors import UserError
from attgan.evaluation.evaluator import EVALUATOR_FILE
from attgan.models import BundleInfo, GeneratorConfig
from flows.dataset.drawn_faces import DRAWN, draw_faces
from flows.dataset.subset import subset
from flows.runtime import cluster, nodes, reporting
from flows.runtime.running import Unfinished, run_subflow
from flows.settings import SubsetSettings, SweepEvaluatorSettings, SweepSettings
from flows.storage import Store, has, join, open_store
from flows.storage.bundles import inspect
from flows.sweep.alignment import align_first, needs_alignment
from flows.sweep.checks import check_before
from flows.sweep.evaluator import train_evaluator
from flows.sweep.plan import Places
from flows.sweep.resolve import datasets_of

FACES, DATASET, JUDGED = "faces", "dataset", "judge"
# Enough for an evaluator on drawn faces.
_EVALUATOR_STEPS = 300


def make_places(settings: SweepSettings, log: reporting.Log) -> Places:
    """Make what the trials need and the user has not named. What an earlier command made is used again.

    Raises:
        UserError: the cluster cannot run such trials, a place is missing, or bundle and data do not fit together.
        Unfinished: one of these steps was stopped or failed. The same command resumes.
    """
    cpus, gpus = settings.cpus_per_trial, settings.gpus_per_trial
    try:
        cluster.require_ray(cpus, gpus)
    except UserError as error:
        raise UserError(
            error.code, f"--cpus-per-trial {cpus:g}, --gpus-per-trial {gpus:g}: {error.line}"
        ) from None
    named_places = {
        "--bundle": settings.bundle,
        "--judge": settings.judge,
        "--align-dataset": settings.align_dataset,
    }
    nodes.require_reachable(named_places, settings.place)
    for url in datasets_of(settings):
        nodes.require_reachable({"--dataset": url})
    check_before(settings)
    store = open_store(settings.place, option="--destination")
    start = None if settings.bundle is None else inspect(settings.bundle)
    size = _size(settings, start)
    named = datasets_of(settings)
    dataset = named[0] if named else _drawn(settings, size, store, log)
    bundle = settings.bundle
    if needs_alignment(settings, start):
        bundle = align_first(settings, dataset, log)
    return Places(
        dataset=dataset, bundle=bundle, judge=_evaluator(settings, start, dataset, size, store, log)
    )


def _size(settings: SweepSettings, start: BundleInfo | None) -> int:
    if start is not None:
        return start.config.generator.image_size
    return settings.size or GeneratorConfig().image_size


def _drawn(settings: SweepSettings, size: int, store: Store, log: reporting.Log) -> str:
    """Draw faces in CelebA's layout, and make a dataset of them."""
    faces, dataset = join(store.url, FACES), join(store.url, DATASET)
    if has(dataset, MANIFEST) and not has(faces, DRAWN):
        # The dataset is complete, and the drawn faces behind it are not needed any more.
        return dataset
    draw_faces(faces, settings.images, settings.seed, log)
    if has(dataset, MANIFEST):
        return dataset
    cut = SubsetSettings(source=faces, destination=dataset, subset="all", size=size, seed=settings.seed)
    run_subflow(subset, cut)
    return dataset


def _evaluator(
    settings: SweepSettings,
    start: BundleInfo | None,
    dataset: str,
    size: int,
    store: Store,
    log: reporting.Log,
) -> str:
    """The evaluator of the edits: the user's, the starting bundle's classifier, or one that is trained now."""
    if settings.judge is not None:
        return settings.judge
    if start is not None and start.config.classifier is not None:
        assert settings.bundle is not None
        return settings.bundle
    place = join(store.url, JUDGED)
    if has(place, EVALUATOR_FILE):
        return place
    log.info("there is no evaluator of edits: one is trained first")
    wanted = SweepEvaluatorSettings(
        dataset=dataset,
        destination=place,
        size=size,
        attributes=settings.attributes or list(start.config.attributes if start else PUBLISHED),
        seed=settings.seed,
        validation_share=settings.validation_share,
        max_steps=None if datasets_of(settings) else _EVALUATOR_STEPS,
        licence=settings.licence,
        gpus=settings.gpus_per_trial,
        cache_gb=settings.cache_gb,
    )
    outcome = train_evaluator(wanted, log)
    if not isinstance(outcome, dict):
        raise Unfinished(outcome.message or "the training of the evaluator failed")
    return place
