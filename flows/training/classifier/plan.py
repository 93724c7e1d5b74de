"""Check a classifier's training before its first step, and recognise a run that has finished."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

from attgan.data.loading.loader import Faces
from attgan.errors import UserError
from attgan.models import Bundle, inspect_bundle
from attgan.models.bundle_config import CONFIG, GENERATOR
from attgan.models.folder import Folder
from attgan.training.classifier.trainer import check_rows, classifier_fingerprint
from attgan.training.run_folder.run_files import RESULT, check_same
from flows.settings import ClassifierSettings
from flows.storage import Store, join, open_store
from flows.storage.bundles import open_bundle
from flows.training.data import open_data
from flows.training.prepared_training import refuse_overlap
from flows.training.start import joined_licence

TRAINING = "training"


@dataclass(frozen=True)
class ClassifierPlan:
    """A classifier's training that is checked: it may begin, resume, or have finished.

    Attributes:
        settings: of the run.
        bundle: that the classifier is added to.
        faces: the data; no image has been decoded.
        store: the run's folder, inside the new bundle.
        finished: the outcome of a run that has finished; else None.
        licence: of the new bundle. For a finished run, the line that stands in it.
    """

    settings: ClassifierSettings
    bundle: Bundle
    faces: Faces
    store: Store
    finished: dict[str, Any] | None
    licence: str


def prepare(settings: ClassifierSettings) -> ClassifierPlan:
    """Check everything that can be known before the first step. Writes nothing.

    Raises:
        UserError: a place that is missing, a bundle and a dataset that do not fit together, too few images, or another
            bundle or run at the destination.
    """
    store = open_store(settings.destination, option="--destination")
    refuse_overlap(settings, store.url)
    store.check(write=True)
    bundle = open_bundle(settings.bundle)
    faces = open_data(settings, bundle.config.generator.image_size, bundle.config.attributes, decode=False)
    check_rows(faces, settings.config)
    training = open_store(join(settings.destination, TRAINING), option="--destination")
    finished = _find(settings, bundle, faces, training)
    if finished is None:
        subset = faces.dataset.manifest.subset.name
        licence = joined_licence(bundle.config.licence, settings.licence, subset)
    else:
        licence = inspect_bundle(*_destination(settings)).config.licence
    return ClassifierPlan(settings, bundle, faces, training, finished, licence)


def run_folder(store: Store) -> Folder:
    """A store in the form that the library takes."""
    filesystem, path = store.filesystem()
    return Folder(path, filesystem)


def refuse_foreign_bundle(settings: ClassifierSettings, bundle: Bundle, *, begun: bool) -> None:
    """Refuse a bundle at the destination, unless this run may have written it just before it was killed.

    Args:
        settings: of the run.
        bundle: that the classifier is added to.
        begun: whether the run has kept any state. A run without a state cannot have written a bundle.

    Raises:
        UserError: there is a bundle, and the run has not begun or the bundle has another generator.
        StorageError: the storage failed.
    """
    path, filesystem, label = _destination(settings)
    if not Folder(path, filesystem).has(CONFIG):
        return
    if begun:
        there = inspect_bundle(path, filesystem, label).config
        if there.files[GENERATOR] == bundle.config.files[GENERATOR]:
            return
    raise UserError("bundle-exists", f"{label}: there is a bundle already, and it is not replaced")


def _destination(settings: ClassifierSettings) -> tuple[str, fs.FileSystem, str]:
    """Path, filesystem and label of the new bundle."""
    filesystem, path = open_store(settings.destination, option="--destination").filesystem()
    return path, filesystem, f"--destination {settings.destination}"


def _find(
    settings: ClassifierSettings, bundle: Bundle, faces: Faces, training: Store
) -> dict[str, Any] | None:
    """The outcome of the run at the destination; None if it has not finished or there is none.

    Raises:
        UserError: the destination holds another run, or a bundle that is not this run's result.
    """
    folder = run_folder(training)
    begun = check_same(folder, classifier_fingerprint(faces, settings.config, bundle.digest))
    if not folder.has(RESULT):
        refuse_foreign_bundle(settings, bundle, begun=begun)
        return None
    found: dict[str, Any] = json.loads(folder.read(RESULT))
    return found
