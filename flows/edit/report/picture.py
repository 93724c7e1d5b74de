"""The picture of a run's report: some faces before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attgan.data import codec
from attgan.errors import DataError
from attgan.evaluation.plots.image_grids import before_after_grid, scaled
from flows.edit.job import EditJob
from flows.edit.ledger import SampledImage
from flows.storage import ObjectRefused, denials

# Side of the pictures in the before/after grid, in pixels.
HEIGHT = 218
# Side of the cut-out square, as a multiple of the face's longer side.
_SQUARE_PER_FACE = 1.6


def before_after(job: EditJob, sample: Sequence[SampledImage]) -> bytes | None:
    """A JPEG of the sampled images' faces beside their edits; None if nothing was edited."""
    limits = codec.Limits(max_pixels=job.limits.max_pixels)
    pairs, captions = [], []
    for image in sample:
        try:
            before = codec.decode(denials.get(job.source, image.key).data, limits).pixels
            after = codec.decode(denials.get(job.destination, image.output_key).data, limits).pixels
        except (FileNotFoundError, ObjectRefused, DataError):
            # The image has changed since it was edited. The picture does without it.
            continue
        face, edited = _squares(before, after, image.box)
        pairs.append((scaled(face, HEIGHT), scaled(edited, HEIGHT)))
        captions.append(image.key)
    return before_after_grid(pairs, captions, columns=3, height=HEIGHT) if pairs else None


def _squares(
    before: np.ndarray, after: np.ndarray, box: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """A square around the face from the image and from its edit.

    An edit of another size is the face alone, or the image has been replaced since: then the edit's own middle.
    """
    cut = _face_square(box, before.shape[1], before.shape[0])
    same = after.shape == before.shape
    return before[cut], after[cut if same else _face_square(None, after.shape[1], after.shape[0])]


def _face_square(box: Sequence[float] | None, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of a square around a face, moved to lie inside the image; without a box, in its middle."""
    left, top, right, bottom = box or (0, 0, width, height)
    wanted = min(width, height) if box is None else round(_SQUARE_PER_FACE * max(right - left, bottom - top))
    side = max(1, min(wanted, width, height))
    x = round(min(max((left + right - side) / 2, 0), width - side))
    y = round(min(max((top + bottom - side) / 2, 0), height - side))
    return slice(y, y + side), slice(x, x + side)
