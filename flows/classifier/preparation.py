"""Before a classifier's training: a user's mistakes found in the driver, a finished run recognised."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from attgan.data.loader import Faces
from attgan.errors import UserError
from attgan.models import Bundle, load_bundle
from attgan.models.bundle_config import CONFIG
from attgan.models.folder import Folder
from attgan.training.classifier import check_rows, classifier_identity
from attgan.training.run_folder import RESULT, RUN, begin
from flows.settings import ClassifierSettings
from flows.storage import Store, join, open_store
from flows.train.data import open_data
from flows.train.preparation import refuse_overlap
from flows.train.start import joined_licence

TRAINING = "training"


@dataclass(frozen=True)
class Prepared:
    """A classifier's training that may begin, go on, or be found finished.

    Attributes:
        settings: of the run.
        bundle: the one that it is for.
        faces: the data; no image has been decoded.
        store: the run's folder, below the bundle that is made.
        finished: how it ended, if it has.
    """

    settings: ClassifierSettings
    bundle: Bundle
    faces: Faces
    store: Store
    finished: dict[str, Any] | None

    @property
    def licence(self) -> str:
        """The line of the bundle that is made."""
        subset = self.faces.dataset.manifest.subset.name
        return joined_licence(self.bundle.config.licence, self.settings.licence, subset)


def prepare(settings: ClassifierSettings) -> Prepared:
    """Check everything that can be known before the first step. Writes nothing.

    Raises:
        UserError: a place that is not there, a bundle and a dataset that do not fit together, too few images, or
            another bundle or run at the destination.
    """
    store = open_store(settings.destination, option="--destination")
    refuse_overlap(settings, store)
    store.check(write=True)
    bundle = _open_bundle(settings)
    faces = open_data(settings, bundle.config.generator.image_size, bundle.config.attributes, decode=False)
    check_rows(faces, settings.config)
    training = open_store(join(settings.destination, TRAINING), option="--destination")
    return Prepared(settings, bundle, faces, training, _find(settings, faces, training))


def run_folder(store: Store) -> Folder:
    """A store as the library takes it."""
    filesystem, path = store.filesystem()
    return Folder(path, filesystem)


def _open_bundle(settings: ClassifierSettings) -> Bundle:
    store = open_store(settings.bundle, option="--bundle")
    store.check()
    filesystem, path = store.filesystem()
    return load_bundle(path, filesystem, label=f"--bundle {settings.bundle}")


def _find(settings: ClassifierSettings, faces: Faces, training: Store) -> dict[str, Any] | None:
    """How the run at the destination ended; None if it has not ended or there is none.

    Raises:
        UserError: another run is there, or a bundle that is not this run's result.
    """
    folder = run_folder(training)
    if not folder.has(RUN):
        if run_folder(open_store(settings.destination)).has(CONFIG):
            raise UserError(
                f"--destination {settings.destination}: there is a bundle already; it is not replaced"
            )
        return None
    begin(folder, classifier_identity(faces, settings.config))
    if not folder.has(RESULT):
        return None
    found: dict[str, Any] = json.loads(folder.read(RESULT))
    return found
