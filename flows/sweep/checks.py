"""Check a sweep in seconds, before faces are drawn, an evaluator is trained or a discriminator is aligned."""

from __future__ import annotations

from typing import Any

import numpy as np

from attgan.attributes import check_names
from attgan.errors import UserError
from flows.settings import SweepSettings
from flows.storage import join, open_store
from flows.sweep import fingerprint
from flows.sweep.alignment import refuse_to_align_on_subset
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
    if not begun:
        refuse_to_align_on_subset(settings)
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
