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
from attgan.models import Bundle


def edit_one_by_one(
    bucket: str, source: str, destination: str, keys: Sequence[str], bundle: Bundle, device: str = "cpu"
) -> float:
    """Edit images from one prefix of a bucket to another; returns images per second.

    One client and one model for all of them, and as many threads as torch takes by itself: slow, but not on purpose.
    """
    import boto3  # what is measured without a network needs none of it

    client = boto3.client("s3")
    edit = one_by_one(bundle, device)
    first = client.get_object(Bucket=bucket, Key=f"{source}/{keys[0]}")["Body"].read()
    edit(first)  # what only the first image costs is no part of the rate
    started = time.perf_counter()
    for key in keys:
        data = client.get_object(Bucket=bucket, Key=f"{source}/{key}")["Body"].read()
        client.put_object(
            Bucket=bucket, Key=f"{destination}/{key}", Body=edit(data), ContentType="image/jpeg"
        )
    return len(keys) / (time.perf_counter() - started)


def one_by_one(bundle: Bundle, device: str = "cpu") -> Callable[[bytes], bytes]:
    """A function from a JPEG of 178×218 to the edited one: Pillow, the model with a batch of one, Pillow."""
    generator = bundle.generator.to(device).eval()
    size, names = generator.config.image_size, bundle.config.attributes
    unknown = np.full((1, len(names)), np.nan, dtype=np.float32)
    target = torch.from_numpy(target_vector(unknown, parse_edits(["Eyeglasses=1"], 1.0, names), names)).to(
        device
    )

    @torch.no_grad()
    def edit(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        left, top = (image.width - CELEBA_CROP) // 2, (image.height - CELEBA_CROP) // 2
        face = image.crop((left, top, left + CELEBA_CROP, top + CELEBA_CROP))
        pixels = np.asarray(face.resize((size, size), Image.Resampling.BILINEAR))
        batch = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1).to(device)
        edited = ((generator(batch, target)[0] + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu()
        face = Image.fromarray(edited.numpy()).resize((CELEBA_CROP, CELEBA_CROP), Image.Resampling.BICUBIC)
        image.paste(face, (left, top))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=95)
        return buffer.getvalue()

    return edit
