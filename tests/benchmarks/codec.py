"""Decode and encode on one core: ours beside Pillow's."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image

from attgan.data import codec
from attgan.data.transforms import face_box, take_face
from flows.bench.ceilings import recode
from flows.bench.faces import drawn_faces
from tests.benchmarks.table import Row, peak_mb, rate


def measure(images: int = 400) -> Iterator[Row]:
    """Rows for 178×218 JPEGs: decode, encode, and the face's way out and back in."""
    torch.set_num_threads(1)
    files = drawn_faces(images)
    decoded = [codec.decode(data) for data in files]
    box = face_box(178, 218)
    assert box is not None
    faces = [take_face(image.pixels, box, 128) for image in decoded]

    def pillow_decode() -> None:
        for data in files:
            np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def pillow_encode() -> None:
        for image in decoded:
            Image.fromarray(image.pixels).save(io.BytesIO(), "JPEG", quality=95)

    def pillow_resize() -> None:
        for image in decoded:
            Image.fromarray(image.pixels).crop((4, 24, 174, 194)).resize(
                (128, 128), Image.Resampling.BILINEAR
            )

    pairs = [
        ("decode", lambda: [codec.decode(data) for data in files], pillow_decode),
        ("encode, quality 95", lambda: [codec.encode(image) for image in decoded], pillow_encode),
        ("crop and resize to 128", lambda: [take_face(i.pixels, box, 128) for i in decoded], pillow_resize),
    ]
    for what, ours, pillows in pairs:
        yield Row(what, rate(ours, images), "img/s/core", "Pillow", rate(pillows, images), peak_mb())

    pairs = list(zip(files, faces, strict=True))
    yield Row(
        "all an edit needs but the model",
        rate(lambda: recode(pairs, 128), images),
        "img/s/core",
        peak_mb=peak_mb(),
    )
