"""Check a sweep in seconds, before faces are drawn, an evaluator is trained or a discriminator is aligned."""

from __future__ import annotations

from typing import Any

import numpy as np

from attgan.attributes import check_names
from attgan.errors import UserError
from attgan.models import BundleInfo
from flows.dataset.datasets import read_manifest_of
from flows.settings import SweepSettings
from flows.storage import join, open_store
from flows.storage.bundles import inspect
from flows.sweep import fingerprint
from flows.sweep.plan import Places, make_trial
from flows.sweep.resolve import axes_of, datasets_of
from flows.training.plan import prepare
from flows.training.start import make_start

# A folder below the sweep's in which nothing is ever written.
_NOWHERE = "check"


def check_before(settings: SweepSettings) -> None:
    """Refuse resolved settings with which no trial could begin. Writes nothing.

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
    datasets = datasets_of(settings)
    # A sweep keeps the discriminator that it began with.
    if not begun and needs_alignment(settings, None if settings.bundle is None else inspect(settings.bundle)):
        _refuse_subset(settings, datasets)
    for url in datasets:
        changes = corner | ({"dataset": url} if "dataset" in corner else {})
        places = Places(url, settings.bundle, settings.judge)
        prepare(make_trial(settings, places, folder, 0, changes).settings)
        for axis in axes_of(settings):
            if axis.name == "seed":
                for share in (0.0, 0.999):
                    _refuse_other_faces(settings, folder, places, changes | {"seed": axis.at(share)})
    # Without a dataset, faces will be drawn. Those have labels for all attributes.
    if not datasets:
        places = Places(join(folder, "dataset"), settings.bundle, settings.judge)
        start = make_start(make_trial(settings, places, folder, 0, corner).settings)
        check_names([settings.attribute], start.attributes, f"--attribute {settings.attribute}")


def needs_alignment(settings: SweepSettings, start: BundleInfo | None) -> bool:
    """Whether a discriminator is aligned before the trials: their bundle, ``start``, has none, and they want one."""
    return start is not None and start.config.discriminator is None and not settings.fresh_discriminator


def _refuse_subset(settings: SweepSettings, datasets: list[str]) -> None:
    """Refuse to align on a subset of one attribute, where that is far more frequent than among all faces.

    Raises:
        UserError: the dataset to align on is such a subset, or there is none.
    """
    option = "--align-dataset" if settings.align_dataset else "--dataset"
    for url in [settings.align_dataset] if settings.align_dataset else datasets[:1]:
        subset = read_manifest_of(url, option).subset
        if subset.attribute is not None:
            raise UserError(
                "alignment-needs-random",
                f"{option} {url}: is the subset {subset.name}, and a discriminator is aligned on random faces; name "
                "a dataset of such with --align-dataset (attgan subset --subset random makes one), or a --bundle that "
                "has a discriminator",
            )


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
