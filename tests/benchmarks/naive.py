"""The way it is done today: a loop, one image after the other, with what everybody knows."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from attgan.attributes import parse_edits, target_vector
from attgan.data.transforms import CELEBA_CROP
from attgan.detection import FaceDetector
from attgan.models import Bundle


def edit_one_by_one(
    bucket: str, source: str, destination: str, keys: Sequence[str], bundle: Bundle, device: str = "cpu"
) -> float:
    """Edit images from one prefix of a bucket to another; returns images per second.

    One client and one model for all of them, and as many threads as torch takes by itself: slow, but not on purpose.
    """
    # What is measured without a network needs none of it.
    import boto3

    client = boto3.client("s3")
    edit = one_by_one(bundle, device)
    first = client.get_object(Bucket=bucket, Key=f"{source}/{keys[0]}")["Body"].read()
    # What only the first image costs is no part of the rate.
    edit(first)
    started = time.perf_counter()
    for key in keys:
        data = client.get_object(Bucket=bucket, Key=f"{source}/{key}")["Body"].read()
        client.put_object(
            Bucket=bucket, Key=f"{destination}/{key}", Body=edit(data), ContentType="image/jpeg"
        )
    return len(keys) / (time.perf_counter() - started)


Lap = Callable[[str], None]
"""Told the name of each stage when it is over."""


def one_by_one(
    bundle: Bundle, device: str = "cpu", detector: FaceDetector | None = None, lap: Lap = lambda stage: None
) -> Callable[[bytes], bytes]:
    """A function from a JPEG to the edited one: Pillow, the model with a batch of one in float32, Pillow.

    Without a finder the image is an aligned face of 178×218, with one a photograph, whose largest face is edited.
    """
    generator = bundle.generator.to(device).eval()
    size, names = generator.config.image_size, bundle.config.attributes
    unknown = np.full((1, len(names)), np.nan, dtype=np.float32)
    target = torch.from_numpy(target_vector(unknown, parse_edits(["Eyeglasses=1"], 1.0, names), names)).to(
        device
    )

    @torch.no_grad()
    def edit(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        lap("decode")
        square = _square(image, detector)
        lap("detect")
        if square is None:
            return data
        pixels = np.asarray(image.crop(square).resize((size, size), Image.Resampling.BILINEAR))
        lap("take the face")
        batch = torch.from_numpy(pixels.copy()).to(device)
        lap("copy")
        edited = (
            ((generator(batch.permute(2, 0, 1)[None].float() / 127.5 - 1, target)[0] + 1) * 127.5)
            .clamp(0, 255)
            .byte()
        )
        lap("generator")
        result = edited.permute(1, 2, 0).cpu().numpy()
        lap("copy")
        left, top, right, _ = square
        face = Image.fromarray(result).resize((right - left, right - left), Image.Resampling.BICUBIC)
        image.paste(face, (left, top))
        lap("compositing")
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=95)
        lap("encode")
        return buffer.getvalue()

    return edit


def _square(image: Image.Image, detector: FaceDetector | None) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the face."""
    if detector is None:
        side, left, top = CELEBA_CROP, (image.width - CELEBA_CROP) // 2, (image.height - CELEBA_CROP) // 2
    else:
        faces = detector.find([np.asarray(image)])[0]
        if not faces:
            return None
        face = max(faces, key=lambda face: face.size)
        side, left, top = round(1.5 * face.size), round(face.box[0]), round(face.box[1])
        left, top = left - side // 6, top - side // 6
    return left, top, left + side, top + side
