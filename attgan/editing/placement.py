"""Where a face is in a photograph, how it is cut out as CelebA aligns faces, and how its edit is put back.

Points are continuous, as in :mod:`attgan.detection.similarity`: (0, 0) is the outer corner of the first pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from attgan.data import transforms
from attgan.data.transforms import CELEBA_CROP, CELEBA_SIZE, Box
from attgan.detection import Face
from attgan.detection.similarity import Matrix, fit_similarity, invert, scale_of
from attgan.editing.grey import greyed, greyed_face
from attgan.editing.masks import faded_square
from attgan.editing.resampling import Window, covering_window, reduced, resample, with_origin
from attgan.editing.thresholded import headroom

Pixels = NDArray[np.uint8]

TEMPLATE = np.array([[69.46, 111.66], [108.60, 111.67], [88.75, 136.18], [71.48, 152.87], [106.58, 152.88]])
"""``(5, 2)``: where MTCNN sees the landmarks of CelebA's aligned images, in their 178×218 pixels: the mean of 1,457
images, without outliers (a landmark 15 pixels or more from the median)."""

# Eyes and corners of the mouth. The nose moves sideways when the head turns, and would move the square with it.
STEADY = [0, 1, 3, 4]

# Pixels that are computed at a time, so that memory does not grow with the photograph.
BAND_PIXELS = 2**19


@dataclass(frozen=True)
class Placement:
    """Where a face square is: the part of an aligned image that the networks see.

    Attributes:
        matrix: ``(2, 3)`` float64, a similarity from the square of side 1 (x right, y down, (0, 0) its upper left
            corner) to the photograph's pixels.
        box: the same as an upright square in whole pixels, if the whole image is an aligned one. None in photographs.
    """

    matrix: Matrix
    box: Box | None = None

    @property
    def side(self) -> float:
        """Side of the square, in the photograph's pixels."""
        return float(scale_of(self.matrix))

    def pixels(self, size: int) -> Matrix:
        """``(2, 3)``: the matrix from the pixels of a face of side ``size`` to the photograph's."""
        return self.matrix * [1 / size, 1 / size, 1]

    def widened(self, factor: float) -> Placement:
        """A square about the same centre, whose side is ``factor`` times as long."""
        start = (1 - factor) / 2
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        return Placement(np.column_stack([factor * linear, linear @ [start, start] + shift]))


def box_placement(box: Box) -> Placement:
    """The placement of a face in an upright square of whole pixels."""
    return Placement(np.array([[box.side, 0, box.left], [0, box.side, box.top]], np.float64), box)


def aligned_placement(width: int, height: int) -> Placement | None:
    """The placement of an aligned image's face; None if an image of this size is not aligned."""
    box = transforms.face_box(width, height)
    return None if box is None else box_placement(box)


def placement_of(face: Face) -> Placement:
    """The placement of a detected face: a fit of CelebA's eyes and corners of the mouth to the face's.

    The template is fitted to the face. The other way round, the square would become larger the less the landmarks
    agree. In CelebA's own aligned images, which this should leave in place, the corners of the square move by
    4.6 pixels on average (4.9 with the nose, 7.9 by the eyes alone), and the eyes by 1.4.

    Raises:
        ValueError: the landmarks are all one point, or a coordinate is not finite.
    """
    from_aligned = fit_similarity(TEMPLATE[STEADY], face.landmarks[STEADY])
    width, height = CELEBA_SIZE
    # From the square of side 1 to the aligned image's pixels.
    square = np.array(
        [[CELEBA_CROP, 0, (width - CELEBA_CROP) / 2], [0, CELEBA_CROP, (height - CELEBA_CROP) / 2], [0, 0, 1]]
    )
    matrix = from_aligned @ square
    if not (np.isfinite(matrix).all() and scale_of(matrix) > 0):
        raise ValueError("the landmarks of a face must be finite numbers, and not all one point")
    return Placement(matrix)


def take_face(pixels: Pixels, placement: Placement, size: int) -> Pixels:
    """The face as the networks are fed it.

    The face of an aligned image is cropped and resized (:func:`attgan.data.transforms.take_face`), and may be a view of
    it. In a photograph, the part around the face is reduced to three pixels for one of the face, if it has more;
    rotated by cubic interpolation at twice the face's size; and halved. The result is within 52 dB of the same filter
    with sixteen samples along a pixel's side (44 dB with one sample, from a part reduced to the face's size). Beyond
    the photograph its outermost pixels are repeated, as in CelebA's images.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        placement: of the face.
        size: S, side of the result.

    Returns:
        ``(S, S, 3)`` uint8.
    """
    if placement.box is not None:
        return transforms.take_face(pixels, placement.box, size)
    samples = size if scale_of(placement.pixels(size)) <= 1 else 2 * size
    matrix = placement.pixels(samples)
    height, width = pixels.shape[:2]
    whole = Window(0, 0, samples, samples)
    around = covering_window(matrix, whole, width, height, margin=2 * float(scale_of(matrix)) + 2)
    part = _planes(pixels[around.top : around.bottom, around.left : around.right])
    image, to_image = reduced(part, with_origin(matrix, around.left, around.top), density=1.5)
    face = resample(image.float(), to_image, whole)
    if samples > size:
        face = F.interpolate(face[None], size=(size, size), mode="bilinear", antialias=True)[0]
    return _pixels(face)


def put_change(pixels: Pixels, placement: Placement, change: Tensor, *, grey: bool = False) -> None:
    """Move a photograph's pixels, in place, towards black or white by a face's change. All others stay to the bit.

    The change is resampled to the photograph's resolution and applied to its own pixels, so that the skin seen through
    a lens stays as sharp as it was.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        change: ``(3, S, S)`` float32, -1 (black) to 1 (white), as :func:`attgan.editing.change.change_of` returns it.
        grey: whether the change loses its colour (:func:`attgan.editing.grey.is_grey`).
    """
    if grey:
        change = greyed(change)
    changed = _not_zero(change)
    if changed is None:
        return
    for band, layer in _bands(pixels, placement, change, changed):
        part = pixels[band.top : band.bottom, band.left : band.right]
        # Both as contiguous (h, w, 3): that takes a third of the time.
        before = torch.from_numpy(np.ascontiguousarray(part)).float()
        shares = layer.permute(1, 2, 0).contiguous()
        part[:] = _bytes(before + shares * headroom(before, shares))


def put_whole(pixels: Pixels, placement: Placement, face: Pixels, *, grey: bool = False) -> None:
    """Paste an edited face over the one in a photograph, in place. Its edges fade, except in an aligned image.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        face: ``(S, S, 3)`` uint8.
        grey: whether the face loses its colour.
    """
    if grey:
        face = greyed_face(face)
    if (box := placement.box) is not None:
        resized = transforms.resize(face, box.side, "bicubic")
        pixels[box.top : box.top + box.side, box.left : box.left + box.side] = resized
        return
    layers = torch.cat([_planes(face)[0], faded_square(len(face))[None]])
    for band, layer in _bands(pixels, placement, layers):
        part = pixels[band.top : band.bottom, band.left : band.right]
        part[:] = _pixels(torch.lerp(_planes(part)[0].float(), layer[:3], layer[3].clamp(0, 1)))


def _bands(
    pixels: Pixels, placement: Placement, layers: Tensor, part: Window | None = None
) -> Iterator[tuple[Window, Tensor]]:
    """A face's layers ``(C, S, S)`` at the photograph's resolution, in bands of its rows; 0 beyond the face.

    With ``part``, the only part of the face that is not 0, only the rows and columns that it can affect.
    """
    side = layers.shape[1]
    matrix = placement.pixels(side)
    height, width = pixels.shape[:2]
    # Interpolation spreads a part beyond its own pixels, along a diagonal by two pixels of the face, or, where the face
    # is reduced, by three of the photograph.
    margin = 1.0 if part is None else 1 + max(4.5, 3 * float(scale_of(matrix)))
    whole = covering_window(matrix, part or Window(0, 0, side, side), width, height, margin)
    # A border of zeros, because resampling repeats the outermost pixels beyond the edges.
    bordered = F.pad(layers, (1, 1, 1, 1)).float()[None]
    image, to_image = reduced(bordered, with_origin(invert(matrix), -1, -1))
    rows = max(1, BAND_PIXELS // (whole.right - whole.left))
    for top in range(whole.top, whole.bottom, rows):
        band = whole._replace(top=top, bottom=min(top + rows, whole.bottom))
        yield band, resample(image, to_image, band)


def _not_zero(layers: Tensor) -> Window | None:
    """The smallest window outside which layers ``(C, S, S)`` are 0; None if they are 0 everywhere."""
    changed = (layers != 0).any(0)
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    if not len(rows):
        return None
    return Window(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _planes(pixels: Pixels) -> Tensor:
    """``(H, W, 3)`` uint8 as ``(1, 3, H, W)`` uint8, channels last."""
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].permute(0, 3, 1, 2)


def _pixels(planes: Tensor) -> Pixels:
    """``(3, H, W)`` float32, rounded and clipped to uint8, as ``(H, W, 3)``."""
    return _bytes(planes.permute(1, 2, 0))


def _bytes(values: Tensor) -> Pixels:
    """Float32 of any shape, rounded and clipped to uint8."""
    rounded: Pixels = values.round().clamp(0, 255).to(torch.uint8).numpy()
    return rounded
