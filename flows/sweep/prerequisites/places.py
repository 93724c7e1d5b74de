"""What a sweep needs before its first trial: checks in seconds, then data, an evaluator and an aligned discriminator.

The checks come before faces are drawn, an evaluator is trained or a discriminator is aligned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from attgan.attributes import PUBLISHED, check_names
from attgan.data.manifest import MANIFEST
from attgan.errors import UserError
from attgan.evaluation.edit_measures import choose_test_faces
from attgan.evaluation.evaluator import EVALUATOR_FILE
from attgan.models import BundleInfo, GeneratorConfig
from attgan.training.trainer import choose
from flows.dataset.drawn_faces import DRAWN, draw_faces
from flows.dataset.subset import subset
from flows.runtime import reporting
from flows.runtime.cluster import capacity, nodes
from flows.runtime.running import Unfinished, run_subflow
from flows.settings import SubsetSettings, SweepEvaluatorSettings, SweepSettings
from flows.storage import Store, has, join, open_store
from flows.storage.bundles import inspect
from flows.sweep import fingerprint
from flows.sweep.plan import Places, make_trial, validation_of
from flows.sweep.prerequisites.alignment import align_first, needs_alignment, refuse_to_align_on_subset
from flows.sweep.prerequisites.evaluator import train_evaluator
from flows.sweep.space.resolve import axes_of
from flows.training.evaluators import open_evaluator
from flows.training.prepared_training import prepare, refuse_overlap
from flows.training.start import make_start

FACES, DATASET, EVALUATOR = "faces", "dataset", "evaluator"
# The folder of the evaluator up to version 0.2.
_FORMER_EVALUATOR = "judge"
# A folder below the sweep's in which nothing is ever written.
_NOWHERE = "check"
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
        capacity.require(cpus, gpus, settings.node_timeout, log)
    except UserError as error:
        raise UserError(
            error.code, f"--cpus-per-trial {cpus:g}, --gpus-per-trial {gpus:g}: {error.line}"
        ) from None
    named_places = {
        "--dataset": settings.dataset,
        "--bundle": settings.bundle,
        "--evaluator": settings.evaluator,
        "--align-dataset": settings.align_dataset,
    }
    nodes.require_reachable(named_places, settings.place)
    for line in check_before(settings):
        log.warning("%s", line)
    store = open_store(settings.place, option="--destination")
    start = None if settings.bundle is None else inspect(settings.bundle)
    size = _size(settings, start)
    dataset = settings.dataset or _drawn(settings, size, store, log)
    bundle = settings.bundle
    if needs_alignment(settings, start):
        bundle = align_first(settings, dataset, log)
    return Places(
        dataset=dataset, bundle=bundle, evaluator=_evaluator(settings, start, dataset, size, store, log)
    )


def check_before(settings: SweepSettings) -> list[str]:
    """Refuse resolved settings with which no trial could begin. Writes nothing.

    Returns:
        Lines on what the results will lack.

    Raises:
        UserError: the destination cannot be written to, or holds another sweep; a bundle, an evaluator or a dataset is
            missing, they do not fit together, or one of them lacks the attribute; a discriminator would be aligned on a
            subset of one attribute.
        StorageError: the storage failed for longer than its retries last.
    """
    store = open_store(settings.place, option="--destination")
    store.check(write=True)
    begun = fingerprint.check_same(store, settings)
    corner = {axis.name: axis.at(0.0) for axis in axes_of(settings)}
    folder = join(store.url, _NOWHERE)
    # A sweep keeps the discriminator that it began with.
    if not begun:
        refuse_to_align_on_subset(settings)
    places = Places(settings.dataset or join(folder, "dataset"), settings.bundle, settings.evaluator)
    trial = make_trial(settings, places, folder, 0, corner).settings
    if settings.dataset is None:
        # Faces will be drawn. Those have labels for all attributes.
        check_names([settings.attribute], make_start(trial).attributes, f"--attribute {settings.attribute}")
        return []
    # The trials have folders of their own below the sweep's, where what they need may stand, too.
    refuse_overlap(trial, store.url, may_hold=True)
    faces = prepare(trial).faces
    choose(faces, trial, validation_of(settings))
    for axis in axes_of(settings):
        if axis.name == "seed":
            for share in (0.0, 0.999):
                _refuse_other_faces(settings, folder, places, corner | {"seed": axis.at(share)})
    try:
        choose_test_faces(faces, settings.attribute, settings.test_faces, settings.seed)
    except UserError as error:
        # The trials can be ranked all the same, by their validations.
        return [f"no trial will be measured on test faces: {error}"]
    return []


def _refuse_other_faces(
    settings: SweepSettings, folder: str, places: Places, changes: dict[str, Any]
) -> None:
    """Refuse to search seeds if they decide which images are held out.

    Some trials would then train on the images that others are measured on.

    Raises:
        UserError: two seeds hold out different images.
    """
    seeds = (settings.seed, changes["seed"])
    one, other = (
        prepare(make_trial(settings, places, folder, 0, changes | {"seed": seed}).settings).faces.held_out
        for seed in seeds
    )
    if not np.array_equal(one, other):
        raise UserError(
            "seeds-not-comparable",
            f"--space seed: --dataset {places.dataset} has no validation partition, and each seed would hold out other "
            "images of it: such trials cannot be compared",
        )


def licence_lines(places: Places) -> list[str]:
    """One line for the starting bundle, and one for an evaluator that has another licence.

    Raises:
        UserError: one of them is missing or damaged.
        StorageError: the storage failed.
    """
    lines = []
    if places.bundle is not None:
        start = inspect(places.bundle)
        lines.append(f"starts with the bundle {places.bundle} ({start.digest[:16]}): {start.config.licence}")
    if places.evaluator is not None:
        evaluator = open_evaluator(places.evaluator)
        if evaluator.licence is not None and not any(evaluator.licence in line for line in lines):
            lines.append(
                f"edits are scored by {places.evaluator} ({evaluator.digest[:16]}): {evaluator.licence}"
            )
    return lines


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
    if settings.evaluator is not None:
        return settings.evaluator
    if start is not None and start.config.classifier is not None:
        assert settings.bundle is not None
        return settings.bundle
    place = join(store.url, EVALUATOR)
    for known in (place, join(store.url, _FORMER_EVALUATOR)):
        if has(known, EVALUATOR_FILE):
            return known
    log.info("there is no evaluator of edits: one is trained first")
    wanted = SweepEvaluatorSettings(
        dataset=dataset,
        destination=place,
        size=size,
        attributes=settings.attributes or list(start.config.attributes if start else PUBLISHED),
        seed=settings.seed,
        validation_share=settings.validation_share,
        max_steps=None if settings.dataset else _EVALUATOR_STEPS,
        licence=settings.licence,
        gpus=settings.gpus_per_trial,
        cache_gb=settings.cache_gb,
    )
    outcome = train_evaluator(wanted, log)
    if not isinstance(outcome, dict):
        raise Unfinished(outcome.message or "the training of the evaluator failed")
    return place
