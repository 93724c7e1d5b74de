"""The rate that each stage of an edit reaches alone, in this process, with the same calls as the flow."""

from __future__ import annotations

import contextlib
import functools
import itertools
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from attgan.data import codec
from attgan.data.codec import Decoded
from attgan.data.codec.provenance import Provenance, xmp_packet
from attgan.data.transforms import Box
from attgan.editing.device_slots import SLOTS_PER_GPU
from attgan.editing.editor import Editor
from attgan.editing.placement import (
    Placement,
    aligned_placement,
    box_placement,
    put_change,
    put_whole,
    take_face,
)
from attgan.editing.thresholded import thresholded_change
from attgan.errors import DataError, UserError
from flows.bench.rate import Rate, repeat
from flows.edit.job import model_of
from flows.edit.shard.model import editor_of
from flows.edit.shard.streaming import REQUESTS_IN_FLIGHT
from flows.runtime.stages import set_torch_threads
from flows.settings import EditSettings
from flows.storage import open_store

DIFFERENT = 64
"""How many different images a worker uses, repeatedly."""

# Images that a thread decodes and encodes between two looks at the clock.
_CHUNK = 16
_MARK = xmp_packet(Provenance("attgan bench", "0" * 64, "Eyeglasses=1@1"))
_PROOF = {"attgan-fingerprint": "0" * 16, "attgan-source-etag": "0" * 32, "attgan-model": "0" * 64}


@dataclass(frozen=True)
class Work:
    """The argument of a worker.

    Attributes:
        settings: of the edit that is measured.
        digest: of the bundle.
        keys: of some of the source's images.
        scratch: URL below which the worker may write.
        seconds: how long to measure.
    """

    settings: EditSettings
    digest: str
    keys: tuple[str, ...]
    scratch: str
    seconds: float

    @property
    def cpus(self) -> int:
        """The number of cores of a worker."""
        return max(1, int(self.settings.cpus_per_shard))

    @property
    def editor(self) -> Editor:
        """The model of the edit, loaded in this process."""
        return editor_of(model_of(self.settings, self.digest))

    @property
    def files(self) -> Sequence[bytes]:
        """Some of the source's images, in memory.

        Raises:
            UserError: none of them can be decoded.
        """
        return _files(self.settings.source, self.keys)


def get(work: Work) -> Rate:
    """Fetch images."""
    store, keys = open_store(work.settings.source), itertools.cycle(work.keys)
    return repeat(lambda: len([store.get(next(keys))]), work.seconds, REQUESTS_IN_FLIGHT)


def put(work: Work) -> Rate:
    """Write results, create-only and with metadata."""
    results = [
        codec.encode(codec.decode(data), quality=work.settings.quality, xmp=_MARK) for data in work.files
    ]
    store, data = open_store(f"{work.scratch}/{secrets.token_hex(4)}"), itertools.cycle(results)
    numbers = itertools.count()

    def one() -> int:
        key = f"{next(numbers):07d}.jpg"
        store.put(key, next(data), create_only=True, metadata=_PROOF, content_type="image/jpeg")
        return 1

    return repeat(one, work.seconds, REQUESTS_IN_FLIGHT)


def codecs(work: Work) -> Rate:
    """Decode, take the face out, put it back, and encode, with one thread for each core."""
    files, size = work.files, work.editor.size
    faces = [take_face(image.pixels, placement, size) for image, placement in map(_opened, files)]
    pairs = itertools.cycle(list(zip(files, faces, strict=True)))
    return repeat(
        lambda: recode(itertools.islice(pairs, _CHUNK), size, work.settings.paste),
        work.seconds,
        work.cpus,
        functools.partial(set_torch_threads, 1),
    )


def recode(pairs: Iterable[tuple[bytes, np.ndarray]], size: int, paste: str = "whole") -> int:
    """Do everything with files except the model: decode them, put the given faces into them, and encode them.

    Returns:
        The number of files.
    """
    count = 0
    for data, face in pairs:
        image, placement = _opened(data)
        pixels = image.pixels.copy()
        taken = take_face(pixels, placement, size)
        if paste == "difference":
            put_change(pixels, placement, thresholded_change(face, taken))
        else:
            put_whole(pixels, placement, face)
        codec.encode(image.with_pixels(pixels), xmp=_MARK)
        count += 1
    return count


def generator(work: Work) -> Rate:
    """Edit faces, in batches of the edit's size."""
    editor = work.editor
    faces, targets = blank_batch(editor, work.settings.batch_size)
    # The difference needs the face with the edit and without it.
    passes = 2 if work.settings.paste == "difference" else 1
    return _on_model(work, lambda: len(editor.edit(faces, targets)) / passes)


def classifier(work: Work) -> Rate | None:
    """Predict the attributes of faces; None if the bundle has no classifier."""
    editor = work.editor
    if editor.classifier is None:
        return None
    faces, _ = blank_batch(editor, work.settings.batch_size)

    def look() -> int:
        editor.recognise(faces)
        return len(faces)

    return _on_model(work, look)


STAGES: dict[str, Callable[[Work], Rate | None]] = {
    "storage, GET": get,
    "storage, PUT": put,
    "codec": codecs,
    "classifier": classifier,
    "generator": generator,
}


def measure(stage: str, work: Work) -> Rate | None:
    """Measure one of :data:`STAGES` in this process; None if the bundle does not have this stage."""
    return STAGES[stage](work)


def blank_batch(editor: Editor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Black faces and targets for them. The values of pixels do not change how long the model takes."""
    size, attributes = editor.size, editor.generator.config.n_attributes
    return np.zeros((count, size, size, 3), np.uint8), np.zeros((count, attributes), np.float32)


def _on_model(work: Work, edit: Callable[[], float]) -> Rate:
    """Repeat ``edit`` in as many threads as the flow uses."""
    threads = SLOTS_PER_GPU if work.settings.gpus_per_shard else work.cpus
    return repeat(edit, work.seconds, threads, functools.partial(set_torch_threads, 1))


def _opened(data: bytes) -> tuple[Decoded, Placement]:
    """An image and the square of its face. For an image that is not aligned it is the centred square."""
    image = codec.decode(data)
    height, width = image.pixels.shape[:2]
    side = min(width, height)
    return image, aligned_placement(width, height) or box_placement(
        Box((width - side) // 2, (height - side) // 2, side)
    )


@functools.lru_cache(maxsize=1)
def _files(source: str, keys: tuple[str, ...]) -> Sequence[bytes]:
    """Those of the images that can be decoded."""
    store, files = open_store(source), []
    for key in keys[:DIFFERENT]:
        data = store.get(key).data
        with contextlib.suppress(DataError):
            codec.decode(data)
            files.append(data)
    if not files:
        raise UserError(
            "images-unreadable",
            f"--source {source}: none of its first {len(keys[:DIFFERENT])} files is an image",
        )
    return files
