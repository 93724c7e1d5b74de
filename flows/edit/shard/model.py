"""The networks of an edit, loaded once per process, so that a worker's next shard need not load them again."""

from __future__ import annotations

import functools

import numpy as np

from attgan.data import codec
from attgan.data.codec import Decoded
from attgan.detection.face import FaceDetector
from attgan.detection.mtcnn import make_mtcnn
from attgan.editing.editor import Editor, make_editor
from attgan.errors import UserError
from flows.edit.job import Model
from flows.storage.bundles import open_bundle


@functools.lru_cache(maxsize=2)
def editor_of(model: Model) -> Editor:
    """The editor with a model.

    Raises:
        UserError: the bundle has another digest.
        StorageError: the storage failed after its retries.
    """
    bundle = open_bundle(model.url, with_discriminator=False)
    if bundle.digest != model.digest:
        raise UserError("bundle-replaced", f"--bundle {model.url}: has been replaced since the run began")
    return make_editor(
        bundle.generator, "cuda" if model.on_gpu else "cpu", model.batch_size, bundle.classifier
    )


@functools.lru_cache(maxsize=1)
def detector_of(min_face: int, on_gpu: bool) -> FaceDetector:
    """The face detector for faces of at least so many pixels."""
    return make_mtcnn("cuda" if on_gpu else "cpu", min_face=min_face)


def warm_up(model: Model) -> None:
    """Load a model, and edit, encode and decode a grey face. Raises as :func:`editor_of`.

    After that, everything that only the first batch costs, or dies of, is over.
    """
    editor = editor_of(model)
    grey = np.full((1, editor.size, editor.size, 3), 127, dtype=np.uint8)
    editor.recognise(grey)
    targets = np.zeros((1, editor.generator.config.n_attributes), dtype=np.float32)
    codec.decode(codec.encode(Decoded(editor.edit(grey, targets)[0], "JPEG")))
