"""Where a face is in a photograph, how it comes out of it as CelebA aligns faces, and how the edit goes back in.

Points are continuous, as in :mod:`attgan.editing.similarity`: (0, 0) is the outer corner of the first pixel.
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
from attgan.editing.finding import Face
from attgan.editing.similarity import Matrix, apply, fit_similarity, invert, scale_of

Pixels = NDArray[np.uint8]

TEMPLATE = np.array([[69.46, 111.66], [108.60, 111.67], [88.75, 136.18], [71.48, 152.87], [106.58, 152.88]])
"""``(5, 2)``: where MTCNN sees the landmarks of CelebA's aligned images, in their 178×218 pixels: the mean of 1,457,
without those of which a landmark is 15 pixels or more from the median's."""

STEADY = [0, 1, 3, 4]  # the nose goes to the side with the head, and would take the square along

FEATHER = 0.08  # of the face square's side: over so much a paste fades in from its edge
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

    def pixels(self, size: int) -> Matrix:
        """``(2, 3)``: from the pixels of a face of side ``size`` to the photograph's."""
        return self.matrix * ([1 / size, 1 / size, 1],)


def aligned(width: int, height: int) -> Placement | None:
    """Where the face of an aligned image is, or None where its size says that it is not aligned."""
    box = transforms.face_box(width, height)
    if box is None:
        return None
    return Placement(np.array([[box.side, 0, box.left], [0, box.side, box.top]], np.float64), box)


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

    An aligned image's is cropped and resized (:func:`attgan.data.transforms.take_face`). A photograph's is shrunk
    by the same antialiased kernel where it is larger than ``size``, then turned by cubic interpolation. Beyond the
    photograph its edge goes on, as it does in CelebA's images.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        placement: of the face.
        size: S, side of the result.

    Returns:
        ``(S, S, 3)`` uint8.
    """
    if placement.box is not None:
        return transforms.take_face(pixels, placement.box, size)
    matrix = placement.pixels(size)
    left, top, right, bottom = _bounds(matrix, size, pixels, margin=2 * float(scale_of(matrix)) + 2)
    region = torch.from_numpy(np.require(pixels[top:bottom, left:right], requirements=["C", "W"]))
    image, matrix = _shrunk(region[None].permute(0, 3, 1, 2), _shifted(matrix, left, top))
    face = _sampled(image.float(), matrix, (0, 0, size, size))
    return _as_bytes(face.permute(1, 2, 0).numpy())


def put_difference(pixels: Pixels, placement: Placement, edited: Pixels, reconstructed: Pixels) -> None:
    """Add to a photograph, in place, what the edit changed in its face, and nothing else.

    The generator's reconstruction differs from the face everywhere, and so does its edit; what the two differ in is
    the edit. Where that is little it is left out, and those pixels stay as they were to the bit.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        edited: ``(S, S, 3)`` uint8, what the generator made of the face.
        reconstructed: likewise, when it was told to change nothing.
    """
    size = len(edited)
    difference = torch.from_numpy(edited.astype(np.float32) - reconstructed).permute(2, 0, 1)
    change = difference * _edit_mask(difference)
    _add(pixels, placement.pixels(size), change)


def put_whole(pixels: Pixels, placement: Placement, face: Pixels) -> None:
    """Paste an edited face over the one in a photograph, in place, fading in from its edge (an aligned one's does not).

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB, the photograph.
        placement: of the face.
        face: ``(S, S, 3)`` uint8.
    """
    if (box := placement.box) is not None:
        resized = transforms.resize(face, box.side, "bicubic")
        pixels[box.top : box.top + box.side, box.left : box.left + box.side] = resized
        return
    size = len(face)
    image = torch.from_numpy(np.require(face, requirements=["C", "W"])).permute(2, 0, 1).float()
    layers = torch.cat([image, _window(size)[None]])
    for (left, top, right, bottom), sampled in _bands(pixels, placement.pixels(size), layers):
        part = pixels[top:bottom, left:right]
        weight = sampled[3].clamp(0, 1).numpy()[..., None]
        part[:] = _as_bytes(part + weight * (sampled[:3].permute(1, 2, 0).numpy() - part))


def _add(pixels: Pixels, matrix: Matrix, change: Tensor) -> None:
    for (left, top, right, bottom), sampled in _bands(pixels, matrix, change):
        part = pixels[top:bottom, left:right]
        part[:] = _as_bytes(part + sampled.permute(1, 2, 0).numpy())


def _edit_mask(difference: Tensor) -> Tensor:
    """How much of a difference ``(3, S, S)`` is the edit: ``(S, S)``, 0 to 1, and 0 at the edge of the face."""
    size = difference.shape[1]
    strength = _blurred(difference.abs().mean(0), size / 64)
    return _smoothstep((strength - 6) / 10) * _window(size)


def _window(size: int) -> Tensor:
    """``(S, S)``: 1 in the middle, falling smoothly to 0 at the edges."""
    centres = (torch.arange(size) + 0.5) / size
    ramp = _smoothstep((torch.minimum(centres, 1 - centres) - 1 / size) / FEATHER)
    return ramp[:, None] * ramp[None, :]


def _blurred(plane: Tensor, sigma: float) -> Tensor:
    """A plane ``(h, w)`` under a Gaussian; beyond the plane its edge goes on."""
    reach = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(plane[None, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None, :]), kernel[None, None, :, None])[0, 0]


def _smoothstep(values: Tensor) -> Tensor:
    clamped = values.clamp(0, 1)
    return clamped * clamped * (3 - 2 * clamped)


def _bands(
    pixels: Pixels, matrix: Matrix, layers: Tensor
) -> Iterator[tuple[tuple[int, int, int, int], Tensor]]:
    """A face's layers ``(C, S, S)`` float32 brought to the photograph, by bands of rows that it covers.

    Yields:
        left, top, right, bottom, and ``(C, bottom - top, right - left)``; 0 beyond the face.
    """
    size = layers.shape[1]
    left, top, right, bottom = _bounds(matrix, size, pixels, margin=1)
    edged = F.pad(layers, (1, 1, 1, 1))  # so that what lies beyond goes on as 0
    image, way = _shrunk(edged[None], _shifted(invert(matrix), -1, -1))
    rows = max(1, BAND_PIXELS // (right - left))
    for start in range(top, bottom, rows):
        end = min(start + rows, bottom)
        yield (left, start, right, end), _sampled(image, way, (left, start, right, end))


def _bounds(matrix: Matrix, size: int, pixels: Pixels, margin: float) -> tuple[int, int, int, int]:
    """The part of the photograph that a face covers, in whole pixels and at least one: left, top, right, bottom."""
    height, width = pixels.shape[:2]
    corners = apply(matrix, [[0, 0], [size, 0], [0, size], [size, size]])
    least, most = np.floor(corners.min(0) - margin), np.ceil(corners.max(0) + margin)
    left, top = (int(np.clip(low, 0, side - 1)) for low, side in zip(least, (width, height), strict=True))
    right, bottom = (
        int(np.clip(high, low + 1, side))
        for high, low, side in zip(most, (left, top), (width, height), strict=True)
    )
    return left, top, right, bottom


def _shifted(matrix: Matrix, left: float, top: float) -> Matrix:
    """The same way, to an image whose first pixel was at ``(left, top)``."""
    return matrix - [[0, 0, left], [0, 0, top]]


def _shrunk(image: Tensor, matrix: Matrix) -> tuple[Tensor, Matrix]:
    """An image ``(1, C, h, w)`` with no more pixels than the result can hold, and the way to it.

    Args:
        image: uint8 or float32.
        matrix: from the result's pixels to the image's.
    """
    scale = float(scale_of(matrix))
    if scale <= 1:
        return image, matrix
    height, width = image.shape[2:]
    smaller = (max(1, round(height / scale)), max(1, round(width / scale)))
    shrunk = F.interpolate(image, size=smaller, mode="bilinear", antialias=True)
    return shrunk, matrix * [[smaller[1] / width], [smaller[0] / height]]


def _sampled(image: Tensor, matrix: Matrix, window: tuple[int, int, int, int]) -> Tensor:
    """An image seen through a window of the result, by cubic interpolation; its edge goes on.

    Args:
        image: ``(1, C, h, w)`` float32.
        matrix: from the result's pixels to the image's.
        window: left, top, right, bottom in the result.

    Returns:
        ``(C, bottom - top, right - left)`` float32.
    """
    left, top, right, bottom = window
    height, width = image.shape[2:]
    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
    grid = np.empty((1, bottom - top, right - left, 2), np.float32)  # -1 to 1 from edge to edge
    for axis, side in enumerate((width, height)):
        across, down, shift = matrix[axis] * (2 / side)
        grid[0, ..., axis] = across * x + down * y + (shift - 1)
    sampled = F.grid_sample(
        image, torch.from_numpy(grid), mode="bicubic", padding_mode="border", align_corners=False
    )
    result: Tensor = sampled[0]
    return result


def _as_bytes(values: NDArray[np.floating]) -> Pixels:
    """To the nearest of 0 … 255."""
    rounded: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded
