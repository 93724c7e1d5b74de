"""A quick check whether an image has a face where aligned faces have it.

MTCNN's refinement network sees one crop of 24×24 pixels, which is cheap enough for whole datasets of aligned faces. The
crop's place and size and the threshold were chosen on 2,000 of CelebA's aligned images and 1,000 pictures without a
face (cuts of photographs, textures, documents, logos).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from attgan.data.transforms import Box, face_box, take_face
from attgan.detection.cascade import REFINEMENT_CROP, RefinementNet, load_cascade

# The face's place in the square that the networks see, in shares of its side: the median box that MTCNN finds in
# CelebA's aligned images, made square. Larger, smaller and shifted crops are less accurate.
EXPECTED_LEFT, EXPECTED_TOP, EXPECTED_SIDE = 0.153, 0.245, 0.68
# Refuses 1 in 2,000 of CelebA's faces, and accepts 3 % of the pictures without a face.
MIN_CONFIDENCE = 0.2
# Every batch has this size: another number can select other kernels, which give other bits.
BATCH = 16


@torch.inference_mode()
def holds_face(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Which of the images show a face where an aligned face has it. The other images do not affect the result.

    Args:
        images: N of them, ``(H, W, 3)`` uint8, RGB, each square or of 178×218's proportions.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: an image is neither square nor of 178×218's proportions.
    """
    crops = np.zeros((-(-len(images) // BATCH) * BATCH, REFINEMENT_CROP, REFINEMENT_CROP, 3), np.uint8)
    for row, image in enumerate(images):
        crops[row] = take_face(image, _expected_box(image), REFINEMENT_CROP)
    batches = torch.from_numpy(crops).permute(0, 3, 1, 2).float().sub_(127.5).div_(128).split(BATCH)
    confidence = [_network()(batch)[0] for batch in batches]
    every = torch.cat(confidence)[: len(images)] if confidence else torch.empty(0)
    accepted: NDArray[np.bool_] = (every >= MIN_CONFIDENCE).numpy()
    return accepted


def _expected_box(image: NDArray[np.uint8]) -> Box:
    height, width = image.shape[:2]
    box = face_box(width, height)
    if box is None:
        raise ValueError(f"{width}×{height} is neither square nor of 178×218's proportions")
    left, top = round(EXPECTED_LEFT * box.side), round(EXPECTED_TOP * box.side)
    return Box(box.left + left, box.top + top, max(1, round(EXPECTED_SIDE * box.side)))


@functools.lru_cache(maxsize=1)
def _network() -> RefinementNet:
    # On the CPU even if there is a GPU: the results are the same everywhere, and copying would take longer.
    return load_cascade().refinement
