"""What each stage of an edit reaches by itself, in this process, with the very calls that the flow makes."""

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
from attgan.editing.editor import Editor
from attgan.editing.placement import Placement, aligned, boxed, put_difference, put_whole, take_face
from attgan.editing.stream_slots import ON_GPU
from attgan.errors import DataError, UserError
from flows.bench.rate import Rate, repeat
from flows.edit.streaming import REQUESTS_IN_FLIGHT, editor_of
from flows.runtime.stages import set_torch_threads
from flows.settings import EditSettings
from flows.storage import open_store

DIFFERENT = 64
"""Images that a worker keeps to work with; they come again and again."""

_CHUNK = 16  # images that a thread decodes and encodes before it looks at the clock
_MARK = xmp_packet(Provenance("attgan bench", "0" * 64, "Eyeglasses=1@1"))
_PROOF = {"attgan-fingerprint": "0" * 16, "attgan-source-etag": "0" * 32, "attgan-model": "0" * 64}


@dataclass(frozen=True)
class Work:
    """What a worker measures with; it travels to it.

    Attributes:
        settings: of the edit that is measured.
        digest: of the bundle.
        keys: of some of the source's images.
        scratch: URL below which the worker may write what it likes.
        seconds: how long.
    """

    settings: EditSettings
    digest: str
    keys: tuple[str, ...]
    scratch: str
    seconds: float

    @property
    def cpus(self) -> int:
        """Cores that a worker is granted."""
        return max(1, int(self.settings.cpus_per_shard))

    @property
    def editor(self) -> Editor:
        """The model that the edit will use, in this process."""
        return editor_of(self.settings, self.digest)

    @property
    def files(self) -> Sequence[bytes]:
        """Some of the source's images, in this process's memory.

        Raises:
            UserError: none of them is one.
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
    """Decode, take the face out, put it back, encode; a core per thread."""
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
    """All that files need but the model: to the faces in them, and with the given faces back to files; their number."""
    count = 0
    for data, face in pairs:
        image, placement = _opened(data)
        pixels = image.pixels.copy()
        taken = take_face(pixels, placement, size)
        if paste == "difference":
            put_difference(pixels, placement, face, taken)
        else:
            put_whole(pixels, placement, face)
        codec.encode(image.with_pixels(pixels), xmp=_MARK)
        count += 1
    return count


def generator(work: Work) -> Rate:
    """Edit faces, in batches of the size that the edit is to have."""
    editor = work.editor
    faces, targets = nothing(editor, work.settings.batch_size)
    passes = 2 if work.settings.paste == "difference" else 1  # the face with the edit, and without it
    return _on_model(work, lambda: len(editor.edit(faces, targets)) / passes)


def classifier(work: Work) -> Rate | None:
    """See what faces are like; None where the bundle has no classifier."""
    editor = work.editor
    if editor.classifier is None:
        return None
    faces, _ = nothing(editor, work.settings.batch_size)

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
    """Measure one of :data:`STAGES`, here and now; None where the bundle has nothing for it to do."""
    return STAGES[stage](work)


def nothing(editor: Editor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Black faces, and targets for them: arithmetic costs the same whatever it is done with."""
    size, attributes = editor.size, editor.generator.config.n_attributes
    return np.zeros((count, size, size, 3), np.uint8), np.zeros((count, attributes), np.float32)


def _on_model(work: Work, edit: Callable[[], float]) -> Rate:
    """In as many threads as the flow edits in."""
    threads = ON_GPU if work.settings.gpus_per_shard else work.cpus
    return repeat(edit, work.seconds, threads, functools.partial(set_torch_threads, 1))


def _opened(data: bytes) -> tuple[Decoded, Placement]:
    """An image and the square of its face; where none is aligned, the centred square stands for it."""
    image = codec.decode(data)
    height, width = image.pixels.shape[:2]
    side = min(width, height)
    return image, aligned(width, height) or boxed(Box((width - side) // 2, (height - side) // 2, side))


@functools.lru_cache(maxsize=1)
def _files(source: str, keys: tuple[str, ...]) -> Sequence[bytes]:
    """Some of the images, those that open."""
    store, files = open_store(source), []
    for key in keys[:DIFFERENT]:
        data = store.get(key).data
        with contextlib.suppress(DataError):
            codec.decode(data)
            files.append(data)
    if not files:
        raise UserError(
            "images-unreadable",
            f"--source {source}: of its first {len(keys[:DIFFERENT])} files none is an image",
        )
    return files
