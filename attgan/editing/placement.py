"""Where a face is in a photograph, how it comes out of it as CelebA aligns faces, and how the edit goes back in.

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
from attgan.editing.difference import apply_change, relative_change
from attgan.editing.fading import window
from attgan.editing.grey import greyed, greyed_face
from attgan.editing.resampling import Window, covered, sampled, shifted, shrunk

Pixels = NDArray[np.uint8]

TEMPLATE = np.array([[69.46, 111.66], [108.60, 111.67], [88.75, 136.18], [71.48, 152.87], [106.58, 152.88]])
"""``(5, 2)``: where MTCNN sees the landmarks of CelebA's aligned images, in their 178×218 pixels: the mean of 1,457,
without those of which a landmark is 15 pixels or more from the median's."""

STEADY = [0, 1, 3, 4]  # the nose goes to the side with the head, and would take the square along

BAND_PIXELS = 2**19  # that are computed at a time: what is held does not grow with the photograph


@dataclass(frozen=True)
class Placement:
    """Where a face square is, the part of an aligned picture that the networks see.

    Attributes:
        matrix: ``(2, 3)`` float64, a similarity from the square of side 1 (x right, y down, (0, 0) its upper left
            corner) to the photograph's pixels.
        box: the same where the whole image is an aligned one: the square in whole pixels, upright. None in photographs.
    """

    matrix: Matrix
    box: Box | None = None

    @property
    def side(self) -> float:
        """Of the square, in the photograph's pixels."""
        return float(scale_of(self.matrix))

    def pixels(self, size: int) -> Matrix:
        """``(2, 3)``: from the pixels of a face of side ``size`` to the photograph's."""
        return self.matrix * [1 / size, 1 / size, 1]

    def widened(self, factor: float) -> Placement:
        """A square about the same centre, whose side is ``factor`` times as long."""
        start = (1 - factor) / 2
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        return Placement(np.column_stack([factor * linear, linear @ [start, start] + shift]))


def boxed(box: Box) -> Placement:
    """The place of a face in an upright square of whole pixels."""
    return Placement(np.array([[box.side, 0, box.left], [0, box.side, box.top]], np.float64), box)


def aligned(width: int, height: int) -> Placement | None:
    """Where the face of an aligned image is, or None where its size says that it is not aligned."""
    box = transforms.face_box(width, height)
    return None if box is None else boxed(box)


def placed(face: Face) -> Placement:
    """Where the square of a found face is: CelebA's eyes and corners of the mouth brought nearest to the face's.

    Fitted this way round a face is not taken for larger the less its landmarks agree with the template. Of CelebA's
    own aligned images, which this should leave in place, the corners of the square move by 4.6 of their pixels on
    average (with the nose 4.9, by the eyes alone 7.9), the eyes by 1.4.

    Raises:
        ValueError: the landmarks are all one point, or a coordinate is no finite number.
    """
    from_aligned = fit_similarity(TEMPLATE[STEADY], face.landmarks[STEADY])
    width, height = CELEBA_SIZE
    square = np.array(  # of side 1 → the aligned picture's pixels
        [[CELEBA_CROP, 0, (width - CELEBA_CROP) / 2], [0, CELEBA_CROP, (height - CELEBA_CROP) / 2], [0, 0, 1]]
    )
    matrix = from_aligned @ square
    if not (np.isfinite(matrix).all() and scale_of(matrix) > 0):
        raise ValueError("a face whose landmarks are one point, or no numbers, has no place")
    return Placement(matrix)


def take_face(pixels: Pixels, placement: Placement, size: int) -> Pixels:
    """The face as the networks are fed it.

    An aligned image's is cropped and resized (:func:`attgan.data.transforms.take_face`), and may be a view of it. A
    photograph's surroundings are shrunk to three pixels for one of the face where they have more, turned at twice the
    face's density by cubic interpolation, and halved: within 52 dB of the same filter over sixteen samples for a
    pixel's side (44 dB with one sample of surroundings shrunk to the face's density). Beyond the photograph its edge
    goes on, as it does in CelebA's images.

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
    around = covered(matrix, whole, width, height, margin=2 * float(scale_of(matrix)) + 2)
    part = _planes(pixels[around.top : around.bottom, around.left : around.right])
    image, way = shrunk(part, shifted(matrix, around.left, around.top), density=1.5)
    face = sampled(image.float(), way, whole)
    if samples > size:
        face = F.interpolate(face[None], size=(size, size), mode="bilinear", antialias=True)[0]
    return _pixels(face)


def put_difference(
    pixels: Pixels,
    placement: Placement,
    edited: Pixels,
    reconstructed: Pixels,
    mask: Tensor | None = None,
    *,
    grey: bool = False,
) -> None:
    """Change a photograph, in place, as the edit changed its face, and only where it did, the rest stays to the bit.

    See :func:`attgan.editing.difference.relative_change`.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        edited: ``(S, S, 3)`` uint8, what the generator made of the face.
        reconstructed: likewise, without the edit.
        mask: ``(S, S)``, where in the face the edit may show (:func:`attgan.editing.attribute_mask`); anywhere.
        grey: whether the change is to have no colour (:func:`attgan.editing.grey.is_grey`).
    """
    put_change(pixels, placement, relative_change(edited, reconstructed, mask), grey=grey)


def put_change(pixels: Pixels, placement: Placement, change: Tensor, *, grey: bool = False) -> None:
    """Draw a photograph's pixels, in place, towards black or white as a face's change says; the rest stays to the bit.

    The change is brought to the photograph's resolution and meets its own pixels there, so that what shines through
    a lens stays as sharp as it was.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        change: ``(3, S, S)`` float32, -1 (black) to 1 (white), as :func:`attgan.editing.change.change_of` returns it.
        grey: whether the change is to have no colour (:func:`attgan.editing.grey.is_grey`).
    """
    if grey:
        change = greyed(change)
    changed = _not_zero(change)
    if changed is None:
        return
    for band, layer in _bands(pixels, placement, change, changed):
        part = pixels[band.top : band.bottom, band.left : band.right]
        # With the colours side by side in both: a third of the time.
        there = torch.from_numpy(np.ascontiguousarray(part)).float()  # (h, w, 3)
        part[:] = _bytes(apply_change(there, layer.permute(1, 2, 0).contiguous()))


def put_whole(pixels: Pixels, placement: Placement, face: Pixels, *, grey: bool = False) -> None:
    """Paste an edited face over the one in a photograph, in place, fading in from its edge (an aligned one's does not).

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        face: ``(S, S, 3)`` uint8.
        grey: whether the face is to have no colour.
    """
    if grey:
        face = greyed_face(face)
    if (box := placement.box) is not None:
        resized = transforms.resize(face, box.side, "bicubic")
        pixels[box.top : box.top + box.side, box.left : box.left + box.side] = resized
        return
    layers = torch.cat([_planes(face)[0], window(len(face))[None]])
    for band, layer in _bands(pixels, placement, layers):
        part = pixels[band.top : band.bottom, band.left : band.right]
        part[:] = _pixels(torch.lerp(_planes(part)[0].float(), layer[:3], layer[3].clamp(0, 1)))


def _bands(
    pixels: Pixels, placement: Placement, layers: Tensor, part: Window | None = None
) -> Iterator[tuple[Window, Tensor]]:
    """A face's layers ``(C, S, S)`` brought to the photograph, by bands of the rows that it covers; 0 beyond it.

    Where only a ``part`` of the face is not 0, only what can be seen of it.
    """
    side = layers.shape[1]
    matrix = placement.pixels(side)
    height, width = pixels.shape[:2]
    # A part is seen as far beyond it as interpolation reaches along a diagonal: two pixels of the face, or where it is
    # shrunk three of the photograph.
    margin = 1.0 if part is None else 1 + max(4.5, 3 * float(scale_of(matrix)))
    whole = covered(matrix, part or Window(0, 0, side, side), width, height, margin)
    edged = F.pad(layers, (1, 1, 1, 1)).float()[None]  # so that 0 is what goes on beyond
    image, way = shrunk(edged, shifted(invert(matrix), -1, -1))
    rows = max(1, BAND_PIXELS // (whole.right - whole.left))
    for top in range(whole.top, whole.bottom, rows):
        band = whole._replace(top=top, bottom=min(top + rows, whole.bottom))
        yield band, sampled(image, way, band)


def _not_zero(layers: Tensor) -> Window | None:
    """The least window outside which layers ``(C, S, S)`` are 0; None where they are 0 everywhere."""
    somewhere = (layers != 0).any(0)
    rows, columns = somewhere.any(1).nonzero(), somewhere.any(0).nonzero()
    if not len(rows):
        return None
    return Window(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _planes(pixels: Pixels) -> Tensor:
    """``(H, W, 3)`` uint8 as ``(1, 3, H, W)`` uint8, channels last."""
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].permute(0, 3, 1, 2)


def _pixels(planes: Tensor) -> Pixels:
    """``(3, H, W)`` float32 to the nearest of 0 … 255, ``(H, W, 3)``."""
    return _bytes(planes.permute(1, 2, 0))


def _bytes(values: Tensor) -> Pixels:
    """Of any shape, float32 to the nearest of 0 … 255."""
    rounded: Pixels = values.round().clamp(0, 255).to(torch.uint8).numpy()
    return rounded
