"""One photograph as one call: its faces are found, edited and put back, in this process and without a server."""

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
# Of the side of the square that an aligned face fills: a found one whose corners are no further from that one's is
# the aligned face itself. Of 178×218's proportions few images are anything else.
WHOLE_SQUARE, WHOLE_ALIGNED = 0.15, 0.3
SURROUNDINGS = 1.5  # the side of a slide's panel, in sides of the face square


@dataclass(frozen=True)
class EditedFace:
    """A face and what was done to it.

    Attributes:
        face: as it was found; None where the whole image is an aligned face.
        placement: where its square is.
        attributes: ``(n,)`` float32, 0 or 1 as the classifier saw them before the edit, NaN where there is none.
        targets: ``(n,)`` float32, what the generator was fed; None where the face was left as it was, since it had all
            that is asked for.
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
    """Those of a photograph's faces that are to be edited, the largest first.

    Args:
        faces: as a finder found them.
        which: ``all`` of them, or the ``largest`` alone.
        min_face: the longer side of the box, in pixels, is at least this.
        min_confidence: the finder's confidence, 0 to 1, is at least this.
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
        finder: of the faces; not asked about images of 178×218's proportions in which a quick look shows a face.
        edits: what to change, as :func:`attgan.attributes.parse_edits` returns it.
        names: the model's n attributes.
        which: ``all`` faces of a photograph or the ``largest`` alone; ``aligned``: the image is one face, as CelebA has
            them (178×218, or the centred square of it); ``auto``: what it looks like. One of 178×218's proportions is
            aligned if there is a face where aligned ones have it, a square if the largest face fills it, and any other
            has all its faces edited.
        min_face: see :func:`choose_faces`.
        min_confidence: see there.
        paste: the ``difference`` that the edit makes is added and all else stays to the bit, or the ``whole`` face that
            the generator made is pasted, which is softer than the photograph.
        on_present: of a face that has all that is asked for already: ``edit`` it nevertheless; ``copy`` and ``skip``
            both leave it as it is.

    Returns:
        The edited photograph, a new ``(H, W, 3)`` uint8, and its faces, none where none was found.

    Raises:
        DataError: the image is said to be aligned, but has another size.
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
    """A strip for each face: as it is, then edited ever more strongly; faces that have it already too.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB; the rest as in :func:`edit_photo`.
        editor: see there.
        finder: see there.
        edits: see there; their own intensities do not count.
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
    """Which of the faces have all that is asked for.

    Args:
        attributes: ``(N, n)``, 0, 1 or NaN (unknown, which is not what is asked for).
        edits: what is asked for.
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
    """What the generator is fed for the faces without the edits: their attributes, but the opposite of what is asked.

    So the edit shows also in a face that has it already, or of which that is not known.

    Args:
        attributes: ``(N, n)``, 0, 1 or NaN (unknown).
        edits: what is asked for.
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
        places: N of them.
        taken: ``(N, S, S, 3)`` uint8, as the network is fed them.
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
    """Where the faces that are meant are, the largest first; none where none was found.

    An aligned image's own face is None. With ``auto`` an image of 178×218's proportions is taken for an aligned one
    where the quick look shows a face, and only the others are searched. A square, which may as well be a photograph, is
    searched first, and looked at where no face is found (one of few pixels). A found face that fills the image, or
    nearly, is the aligned one.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        finder: asked about photographs, squares, and what the quick look refuses.
        which: as in :func:`edit_photo`.
        min_face: see :func:`choose_faces`.
        min_confidence: see there.
        face_seen: what :func:`attgan.detection.aligned_check.holds_face` says of the image, where it was asked.

    Raises:
        DataError: stage ``find``: ``aligned`` was asked for, and the image is not.
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
    """Whether the corners of a found face are near those of the image's aligned one, in shares of its side."""
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
    """A copy of a photograph with the faces of ``todo`` edited: the edits bring them from ``base`` to ``targets``."""
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
    """The faces one above the other, ``(N · side, side, 3)``; an aligned image's as the network sees it."""
    views = [
        placement if placement.box is not None else placement.widened(SURROUNDINGS)
        for _, placement in faces.places
    ]
    return np.concatenate([take_face(pixels, view, side) for view in views])
