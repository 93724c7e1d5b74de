"""A user's mistakes, found in seconds: before faces are drawn, a judge is trained or a discriminator aligned."""

from __future__ import annotations

from attgan.attributes import check_names
from flows.settings import SweepSettings
from flows.storage import join, open_store
from flows.sweep import identity
from flows.sweep.plan import Places, make_trial
from flows.sweep.resolve import axes_of, datasets_of
from flows.train.preparation import prepare
from flows.train.start import make_start

_NOWHERE = "check"  # below the sweep's folder; nothing is ever written there


def check_before(settings: SweepSettings) -> None:
    """Refuse resolved settings with which no trial could begin. Writes nothing.

    Raises:
        UserError: the destination cannot be written to, or holds another sweep; there is no such bundle, judge or
            dataset, they do not fit together, or the attribute is not in one of them.
        StorageError: the storage failed for longer than its retries last.
    """
    store = open_store(settings.place, option="--destination")
    store.check(write=True)
    identity.check_same(store, settings)
    corner = {axis.name: axis.at(0.0) for axis in axes_of(settings)}
    folder = join(store.url, _NOWHERE)
    datasets = datasets_of(settings)
    for url in datasets:
        changes = corner | ({"dataset": url} if "dataset" in corner else {})
        places = Places(url, settings.bundle, settings.judge)
        prepare(make_trial(settings, places, folder, 0, changes).settings)
    if not datasets:  # faces will be drawn, and drawn ones have all attributes
        places = Places(join(folder, "dataset"), settings.bundle, settings.judge)
        start = make_start(make_trial(settings, places, folder, 0, corner).settings)
        check_names([settings.attribute], start.attributes, f"--attribute {settings.attribute}")
