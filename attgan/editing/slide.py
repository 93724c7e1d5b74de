"""A picture of one photograph's faces at rising intensities, from which a user chooses an intensity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from attgan.attributes import Edit, target_vector, unedited_vector
from attgan.detection import FaceDetector
from attgan.editing.change import change_of
from attgan.editing.editor import Editor
from attgan.editing.face_selection import MIN_CONFIDENCE, MIN_FACE, Faces, find_places
from attgan.editing.grey import is_grey
from attgan.editing.placement import Pixels, Placement, put_change, put_whole, take_face
from attgan.editing.styles import adds_glasses, style_vector
from attgan.errors import DataError

Paste = Literal["difference", "whole"]

# Side of a panel's part of the photograph, in sides of the face square.
SURROUNDINGS = 1.5


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
    style_of: Callable[[int], Sequence[str]] | None = None,
) -> Pixels:
    """A row of panels for each face: unedited, then with each intensity. Faces that have the attribute are edited too.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
        editor: the model.
        detector: see :func:`attgan.editing.face_selection.find_places`, as are ``which``, ``min_face`` and
            ``min_confidence``.
        edits: the requested edits; their own intensities are ignored.
        names: the model's n attributes.
        intensities: of the panels from the second on, each above 0.
        which: see ``detector``.
        min_face: see ``detector``.
        min_confidence: see ``detector``.
        paste: ``difference``: the edit's change is added, and all other pixels stay equal to the bit; ``whole``: the
            generator's whole output is pasted, which is blurrier than the photograph.
        panel: P, side of a panel in pixels. It shows the face upright, with its surroundings.
        style_of: the style of the glasses of each face, by its number; by default unknown.

    Returns:
        ``(faces · P, (1 + len(intensities)) · P, 3)`` uint8.

    Raises:
        DataError: the photograph shows no face, or ``aligned`` was requested and it is not aligned.
        ValueError: an edit of an attribute that is not among ``names``, or a classifier with others.
    """
    places = [place for _, place in find_places(pixels, detector, which, min_face, min_confidence)]
    if not places:
        raise DataError("find", "no face was found")
    faces = np.stack([take_face(pixels, place, editor.size) for place in places])
    predicted = editor.recognise(faces)
    attributes = np.full((len(places), len(names)), np.nan, np.float32)
    if predicted is not None:
        attributes[:] = predicted
    unedited = editor.edit(faces, unedited_vector(attributes, edits, names))
    known = editor.generator.config.styles
    styles = np.zeros((len(places), len(known)), np.float32)
    if style_of is not None and known and adds_glasses(edits):
        styles[:] = [style_vector(style_of(number), known) for number in range(len(places))]
    columns = [_panels(pixels, places, panel)]
    for intensity in intensities:
        stronger = [replace(edit, intensity=intensity) for edit in edits]
        targets = target_vector(attributes, stronger, names)
        edited = editor.edit(faces, np.concatenate([targets, styles], axis=1))
        result = pixels.copy()
        _put_back(result, places, edited, unedited, editor, edits, paste)
        columns.append(_panels(result, places, panel))
    return np.concatenate(columns, axis=1)


def _put_back(
    pixels: Pixels,
    places: Sequence[Placement],
    edited: Pixels,
    unedited: Pixels,
    editor: Editor,
    edits: Sequence[Edit],
    paste: Paste,
) -> None:
    """Put edited faces ``(N, S, S, 3)`` back into a photograph, in place."""
    grey = is_grey(pixels)
    for place, face, reconstructed in zip(places, edited, unedited, strict=True):
        if paste == "whole":
            put_whole(pixels, place, face, grey=grey)
        else:
            change = change_of(editor.generator.config, edits, face, reconstructed, place.side)
            put_change(pixels, place, change, grey=grey)


def _panels(pixels: Pixels, places: Sequence[Placement], side: int) -> Pixels:
    """The faces in one column, ``(N · side, side, 3)``. Of an aligned image it is the square that the network sees."""
    views = [place if place.box is not None else place.widened(SURROUNDINGS) for place in places]
    return np.concatenate([take_face(pixels, view, side) for view in views])
