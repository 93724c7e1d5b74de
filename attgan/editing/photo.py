"""Edits one photograph in this process: detects its faces, edits them, and puts them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attgan.attributes import Edit, label_vector, target_vector
from attgan.detection import Face, FaceDetector
from attgan.detection.aligned_check import holds_face
from attgan.detection.similarity import apply, scale_of
from attgan.editing.change import change_of
from attgan.editing.editor import Editor
from attgan.editing.grey import is_grey
from attgan.editing.placement import Pixels, Placement, aligned, placed, put_change, put_whole, take_face
from attgan.errors import DataError

Which = Literal["all", "largest"]
Faces = Literal["auto", "aligned", "all", "largest"]
Paste = Literal["difference", "whole"]
OnPresent = Literal["copy", "skip", "edit"]

MIN_FACE = 40.0
MIN_CONFIDENCE = 0.9
# Tolerance in shares of the aligned face square's side: a detected face whose corners are within it is the aligned face
# itself. It is larger for images of 178×218's proportions, since few of them are anything but aligned faces.
WHOLE_SQUARE, WHOLE_ALIGNED = 0.15, 0.3
# Side of a slide's panel, in sides of the face square.
SURROUNDINGS = 1.5


@dataclass(frozen=True)
class EditedFace:
    """A face and what was done to it.

    Attributes:
        face: as detected; None where the whole image is an aligned face.
        placement: where its square is.
        attributes: ``(n,)`` float32, 0 or 1 as the classifier predicted them before the edit; NaN without a
            classifier.
        targets: ``(n,)`` float32, the generator's attribute vector; None where the face was left unchanged, because it
            had the requested attributes already.
    """

    face: Face | None
    placement: Placement
    attributes: NDArray[np.float32]
    targets: NDArray[np.float32] | None


def choose_faces(
    faces: Sequence[Face],
    which: Which = "all",
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
    chosen.sort(key=lambda face: -face.size)  # stable: of two that are as large, the more confident one first
    return chosen[:1] if which == "largest" else chosen


def edit_photo(
    pixels: Pixels,
    editor: Editor,
    detector: FaceDetector,
    edits: Sequence[Edit],
    names: Sequence[str],
    *,
    which: Faces = "auto",
    min_face: float = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
    paste: Paste = "difference",
    on_present: OnPresent = "copy",
) -> tuple[Pixels, list[EditedFace]]:
    """Edit the faces of a photograph, or the one of an aligned image.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        editor: the model.
        detector: finds the faces. Not used for images of 178×218's proportions in which a quick check sees a face.
        edits: the requested edits, as :func:`attgan.attributes.parse_edits` returns it.
        names: the model's n attributes.
        which: ``all`` faces of a photograph, or only the ``largest``; ``aligned``: the image is one aligned face as in
            CelebA (178×218, or the centred square of it); ``auto``: it is decided by the image. An image of 178×218's
            proportions is aligned if there is a face in the usual place, a square if the largest face fills it. In all
            other images all faces are edited.
        min_face: see :func:`choose_faces`.
        min_confidence: see there.
        paste: ``difference``: the edit's change is added, and all other pixels stay equal to the bit; ``whole``: the
            generator's whole output is pasted, which is blurrier than the photograph.
        on_present: for a face that has the requested attributes already: ``edit`` it nevertheless; ``copy`` and
            ``skip`` both leave it unchanged.

    Returns:
        The edited photograph, a new ``(H, W, 3)`` uint8, and its faces (none if none was found).

    Raises:
        DataError: ``aligned`` was requested, and the image has another size.
        ValueError: an edit of an attribute that is not among ``names``, or a classifier with others.
    """
    faces = _faces(pixels, editor, detector, which, min_face, min_confidence, len(names))
    if on_present == "edit":
        todo = np.ones(len(faces.places), dtype=bool)
    else:
        todo = ~have_already(faces.attributes, edits, names)
    targets = target_vector(faces.attributes, edits, names)
    base = unedited_vector(faces.attributes, edits, names)
    edited = _edited(pixels, editor, faces, todo, edits, targets, base, paste)
    return edited, [
        EditedFace(face, placement, attributes, target if do else None)
        for (face, placement), attributes, target, do in zip(
            faces.places, faces.attributes, targets, todo, strict=True
        )
    ]


def slide(
    pixels: Pixels,
    editor: Editor,
    detector: FaceDetector,
    edits: Sequence[Edit],
    names: Sequence[str],
    intensities: Sequence[float],
    *,
    which: Faces = "auto",
    min_face: float = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
    paste: Paste = "difference",
    panel: int = 256,
) -> Pixels:
    """A strip of panels for each face: unedited, then edited more and more strongly. No face is left out.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB; the rest as in :func:`edit_photo`.
        editor: see there.
        detector: see there.
        edits: see there; their own intensities are ignored.
        names: see there.
        intensities: of the panels from the second on, each above 0.
        which: see there; so are ``min_face``, ``min_confidence`` and ``paste``.
        min_face: see there.
        min_confidence: see there.
        paste: see there.
        panel: P, side of a panel in pixels: the face upright, with its surroundings.

    Returns:
        ``(faces · P, (1 + len(intensities)) · P, 3)`` uint8.

    Raises:
        DataError: there is no face, or as :func:`edit_photo`.
        ValueError: as :func:`edit_photo`.
    """
    faces = _faces(pixels, editor, detector, which, min_face, min_confidence, len(names))
    if not faces.places:
        raise DataError("find", "no face was found")
    todo = np.ones(len(faces.places), dtype=bool)
    base = unedited_vector(faces.attributes, edits, names)
    columns = [_panels(pixels, faces, panel)]
    for intensity in intensities:
        stronger = [replace(edit, intensity=intensity) for edit in edits]
        targets = target_vector(faces.attributes, stronger, names)
        edited = _edited(pixels, editor, faces, todo, edits, targets, base, paste)
        columns.append(_panels(edited, faces, panel))
    return np.concatenate(columns, axis=1)


def have_already(
    attributes: NDArray[np.float32], edits: Sequence[Edit], names: Sequence[str]
) -> NDArray[np.bool_]:
    """Which of the faces have all the requested attributes already.

    Args:
        attributes: ``(N, n)``, 0, 1 or NaN (unknown, which counts as not having it).
        edits: the requested edits.
        names: the n attributes.

    Returns:
        ``(N,)`` bool.
    """
    columns = [names.index(edit.attribute) for edit in edits]
    wanted = np.array([edit.value for edit in edits], dtype=np.float32)
    present: NDArray[np.bool_] = (attributes[:, columns] == wanted).all(axis=1)
    return present


def unedited_vector(
    attributes: NDArray[np.float32], edits: Sequence[Edit], names: Sequence[str]
) -> NDArray[np.float32]:
    """The generator's vectors for the faces without the edits: their attributes, and the opposite of each edit.

    So the edit also shows in a face that has the attribute already, or of which that is unknown.

    Args:
        attributes: ``(N, n)``, 0, 1 or NaN (unknown).
        edits: the requested edits.
        names: the n attributes.

    Returns:
        ``(N, n)`` float32, see :func:`attgan.attributes.label_vector`.
    """
    opposite = np.array(attributes, dtype=np.float32)
    opposite[:, [names.index(edit.attribute) for edit in edits]] = [not edit.value for edit in edits]
    return label_vector(opposite)


@dataclass(frozen=True)
class _Faces:
    """The faces of a photograph that are to be edited.

    Attributes:
        places: of the N faces.
        taken: ``(N, S, S, 3)`` uint8, the network's input.
        attributes: ``(N, n)`` float32, 0, 1 or NaN.
    """

    places: list[tuple[Face | None, Placement]]
    taken: Pixels
    attributes: NDArray[np.float32]


def _faces(
    pixels: Pixels,
    editor: Editor,
    detector: FaceDetector,
    which: Faces,
    min_face: float,
    min_confidence: float,
    n_attributes: int,
) -> _Faces:
    places = find_places(pixels, detector, which, min_face, min_confidence)
    taken = np.empty((len(places), editor.size, editor.size, 3), np.uint8)
    for row, (_, placement) in enumerate(places):
        taken[row] = take_face(pixels, placement, editor.size)
    attributes = np.full((len(places), n_attributes), np.nan, np.float32)
    seen = editor.recognise(taken)
    if seen is not None:
        attributes[:] = seen
    return _Faces(places, taken, attributes)


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

    With ``auto`` an image of 178×218's proportions counts as aligned if the quick check sees a face in it; otherwise
    faces are detected. A square may as well be a photograph: faces are detected first, and the quick check is made if
    none is found (as in very small images). A detected face that nearly fills the image is the aligned one.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        detector: used for photographs, squares, and images in which the quick check sees no face.
        which: as in :func:`edit_photo`.
        min_face: see :func:`choose_faces`.
        min_confidence: see there.
        face_seen: the result of the quick check, :func:`attgan.detection.aligned_check.holds_face`, if it was made.

    Raises:
        DataError: stage ``find``: ``aligned`` was requested, and the image is not aligned.
    """
    height, width = pixels.shape[:2]
    whole = aligned(width, height) if which in ("auto", "aligned") else None
    if which == "aligned" and whole is None:
        raise DataError("find", "not an aligned face: neither square nor of 178×218's proportions")
    if whole is not None and width != height and which == "auto" and face_seen is None:
        face_seen = bool(holds_face([pixels])[0])
    if whole is not None and (which == "aligned" or (width != height and face_seen)):
        return [(None, whole)]
    rule: Which = "largest" if which == "largest" else "all"
    found = detector.find([pixels])[0]
    chosen = [(face, placed(face)) for face in choose_faces(found, rule, min_face, min_confidence)]
    if whole is None:
        return list(chosen)
    if chosen:
        tolerance = WHOLE_SQUARE if width == height else WHOLE_ALIGNED
        is_whole = _is_aligned_face(chosen[0][1], whole, tolerance)
    else:
        is_whole = width == height and bool(holds_face([pixels])[0])
    return [(None, whole)] if is_whole else list(chosen)


def _is_aligned_face(placement: Placement, whole: Placement, tolerance: float) -> bool:
    """Whether the corners of a detected face are within ``tolerance`` sides of those of the aligned face."""
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
    distances = np.hypot(*(apply(placement.matrix, square) - apply(whole.matrix, square)).T)
    return float(distances.max()) <= tolerance * float(scale_of(whole.matrix))


def _edited(
    pixels: Pixels,
    editor: Editor,
    faces: _Faces,
    todo: NDArray[np.bool_],
    edits: Sequence[Edit],
    targets: NDArray[np.float32],
    base: NDArray[np.float32],
    paste: Paste,
) -> Pixels:
    """A copy of a photograph with the faces of ``todo`` edited from the vectors ``base`` to the vectors ``targets``."""
    result = pixels.copy()
    rows = np.flatnonzero(todo)
    taken = faces.taken[rows]
    grey = is_grey(pixels)
    edited = editor.edit(taken, targets[rows])
    if paste == "whole":
        for row, face in zip(rows, edited, strict=True):
            put_whole(result, faces.places[row][1], face, grey=grey)
    else:
        unchanged = editor.edit(taken, base[rows])
        for row, face, reconstructed in zip(rows, edited, unchanged, strict=True):
            place = faces.places[row][1]
            change = change_of(editor.generator.config, edits, face, reconstructed, place.side)
            put_change(result, place, change, grey=grey)
    return result


def _panels(pixels: Pixels, faces: _Faces, side: int) -> Pixels:
    """The faces in one column, ``(N · side, side, 3)``. An aligned image's is the square that the network sees."""
    views = [
        placement if placement.box is not None else placement.widened(SURROUNDINGS)
        for _, placement in faces.places
    ]
    return np.concatenate([take_face(pixels, view, side) for view in views])
