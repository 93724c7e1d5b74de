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
    pixels: Pixels,
    detector: FaceDetector,
    which: Faces = "auto",
    min_face: float = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
    *,
    face_seen: bool | None = None,
) -> list[tuple[Face | None, Placement]]:
    """The faces to edit and their places, the largest first. An aligned image's own face is None.

    With ``auto``, an image of 178×218's proportions counts as aligned if the quick check sees a face in it; otherwise
    faces are detected. A square may just as well be a photograph: faces are detected first, and the quick check is made
    only if none is found (as in very small images). A detected face that nearly fills the image is the aligned one.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        detector: used for photographs, squares, and images in which the quick check sees no face.
        which: ``all`` faces of a photograph, or only the ``largest``; ``aligned``: the image is one aligned face as in
            CelebA (178×218, or the centred square of it); ``auto``: the image decides, and in a photograph all faces
            are edited.
        min_face: see :func:`choose_faces`.
        min_confidence: see :func:`choose_faces`.
        face_seen: the result of the quick check, :func:`attgan.detection.aligned_check.holds_face`, if it was made.

    Raises:
        DataError: stage ``find``: ``aligned`` was requested, and the image is not aligned.
    """
    whole = known_aligned(pixels, which, face_seen=face_seen)
    if whole is not None:
        return [(None, whole)]
    (found,) = detector.find([pixels])
    return places_among(pixels, found, which, min_face, min_confidence)


def known_aligned(pixels: Pixels, which: Faces, *, face_seen: bool | None = None) -> Placement | None:
    """The place of an aligned image's face, if that is known without a face detector; otherwise None.

    Arguments and errors are those of :func:`find_places`.
    """
    whole = _whole(pixels, which)
    if which == "aligned" and whole is None:
        raise DataError("find", "not an aligned face: neither square nor of 178×218's proportions")
    height, width = pixels.shape[:2]
    if whole is None or which == "aligned":
        return whole
    if width == height:
        return None
    return whole if (bool(holds_face([pixels])[0]) if face_seen is None else face_seen) else None


def places_among(
    pixels: Pixels,
    found: Sequence[Face],
    which: Faces = "auto",
    min_face: float = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
) -> list[tuple[Face | None, Placement]]:
    """As :func:`find_places`, for an image that is not known to be aligned, among the faces ``found`` in it."""
    height, width = pixels.shape[:2]
    whole = _whole(pixels, which)
    chosen = choose_faces(found, "largest" if which == "largest" else "all", min_face, min_confidence)
    places: list[tuple[Face | None, Placement]] = [(face, placement_of(face)) for face in chosen]
    if whole is None:
        return places
    if places:
        tolerance = WHOLE_SQUARE if width == height else WHOLE_ALIGNED
        is_whole = _is_aligned_face(places[0][1], whole, tolerance)
    else:
        is_whole = width == height and bool(holds_face([pixels])[0])
    return [(None, whole)] if is_whole else places


def _whole(pixels: Pixels, which: Faces) -> Placement | None:
    height, width = pixels.shape[:2]
    return aligned_placement(width, height) if which in ("auto", "aligned") else None


def _is_aligned_face(placement: Placement, whole: Placement, tolerance: float) -> bool:
    """Whether the corners of a detected face are within ``tolerance`` sides of those of the aligned face."""
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
    distances = np.hypot(*(apply(placement.matrix, square) - apply(whole.matrix, square)).T)
    return float(distances.max()) <= tolerance * float(scale_of(whole.matrix))
