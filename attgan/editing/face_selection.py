"""Which faces of an image are edited, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from attgan.detection import Face, FaceDetector
from attgan.detection.aligned_check import holds_face
from attgan.detection.similarity import apply, scale_of
from attgan.editing.placement import Pixels, Placement, aligned_placement, placement_of
from attgan.errors import DataError

Faces = Literal["auto", "aligned", "all", "largest"]

MIN_FACE = 40.0
MIN_CONFIDENCE = 0.9
# Tolerance in shares of the aligned face square's side: a detected face whose corners are within it is the aligned face
# itself. It is larger for images of 178×218's proportions, since few of them are anything but aligned faces.
WHOLE_SQUARE, WHOLE_ALIGNED = 0.15, 0.3
_NOT_ALIGNED = "not an aligned face: neither square nor of 178×218's proportions"


def choose_faces(
    faces: Sequence[Face],
    which: Literal["all", "largest"] = "all",
    min_face: float = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
) -> list[Face]:
    """Choose the faces of a photograph that are edited, the largest first.

    Args:
        faces: as a face detector returned them.
        which: ``all`` of them, or only the ``largest``.
        min_face: smallest length of the box's longer side, in pixels.
        min_confidence: smallest confidence of the detector, 0 to 1.
    """
    chosen = [face for face in faces if face.size >= min_face and face.confidence >= min_confidence]
    # The sort is stable: of two faces of one size, the more confident one comes first.
    chosen.sort(key=lambda face: -face.size)
    return chosen[:1] if which == "largest" else chosen


def find_places(
    images: Sequence[Pixels],
    detector: FaceDetector,
    which: Faces = "auto",
    min_face: float = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
) -> list[list[tuple[Face | None, Placement]] | DataError]:
    """The faces to edit of some images and their places, the largest first. An aligned image's own face is None.

    With ``auto``, an image of 178×218's proportions counts as aligned if the quick check sees a face in it; otherwise
    faces are detected. A square may just as well be a photograph: faces are detected first, and the quick check is made
    only if none is found (as in very small images). A detected face that nearly fills the image is the aligned one.

    Args:
        images: ``(H, W, 3)`` uint8 each, RGB. The detector gets all photographs at once, which is much faster.
        detector: used for photographs, squares, and images in which the quick check sees no face.
        which: ``all`` faces of a photograph, or only the ``largest``; ``aligned``: the image is one aligned face as in
            CelebA (178×218, or the centred square of it); ``auto``: the image decides, and in a photograph all faces
            are edited.
        min_face: see :func:`choose_faces`.
        min_confidence: see :func:`choose_faces`.

    Returns:
        For each image its faces; or the error of stage ``find`` that ``aligned`` was requested, and it is not aligned.
    """
    wholes = [aligned_placement(*_size(image)) if which in ("auto", "aligned") else None for image in images]
    if which == "aligned":
        return [[(None, whole)] if whole is not None else DataError("find", _NOT_ALIGNED) for whole in wholes]
    checked = [
        number for number, image in enumerate(images) if wholes[number] is not None and not _is_square(image)
    ]
    seen = dict(zip(checked, holds_face([images[number] for number in checked]).tolist(), strict=True))
    searched = [number for number in range(len(images)) if not seen.get(number)]
    detected = detector.find([images[number] for number in searched]) if searched else []
    found = dict(zip(searched, detected, strict=True))
    return [
        [(None, whole)]
        if whole is not None and number not in found
        else _among(image, found[number], whole, which, min_face, min_confidence)
        for number, (image, whole) in enumerate(zip(images, wholes, strict=True))
    ]


def _among(
    image: Pixels,
    found: Sequence[Face],
    whole: Placement | None,
    which: Faces,
    min_face: float,
    min_confidence: float,
) -> list[tuple[Face | None, Placement]]:
    """The faces to edit among those that were detected in an image, which may be aligned (``whole``)."""
    chosen = choose_faces(found, "largest" if which == "largest" else "all", min_face, min_confidence)
    places: list[tuple[Face | None, Placement]] = [(face, placement_of(face)) for face in chosen]
    if whole is None:
        return places
    if places:
        tolerance = WHOLE_SQUARE if _is_square(image) else WHOLE_ALIGNED
        is_whole = _is_aligned_face(places[0][1], whole, tolerance)
    else:
        is_whole = _is_square(image) and bool(holds_face([image])[0])
    return [(None, whole)] if is_whole else places


def _size(image: Pixels) -> tuple[int, int]:
    """Width and height."""
    return image.shape[1], image.shape[0]


def _is_square(image: Pixels) -> bool:
    return image.shape[0] == image.shape[1]


def _is_aligned_face(placement: Placement, whole: Placement, tolerance: float) -> bool:
    """Whether the corners of a detected face are within ``tolerance`` sides of those of the aligned face."""
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
    distances = np.hypot(*(apply(placement.matrix, square) - apply(whole.matrix, square)).T)
    return float(distances.max()) <= tolerance * float(scale_of(whole.matrix))
