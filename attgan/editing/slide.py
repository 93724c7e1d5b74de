"""A picture of one photograph's faces at rising intensities, from which a user chooses an intensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attgan.detection import FaceDetector
from attgan.editing.editor import Editor
from attgan.editing.photographs import EditOptions, Photograph, edit_faces, find_faces, put_back
from attgan.editing.placement import Pixels, Placement, take_face

# Side of a panel's part of the photograph, in sides of the face square.
SURROUNDINGS = 1.5


def slide(
    photograph: Photograph,
    editor: Editor,
    detector: FaceDetector,
    options: EditOptions,
    intensities: Sequence[float],
    *,
    panel: int = 256,
) -> Pixels:
    """A row of panels for each face: unedited, then with each intensity. Faces that have the attribute are edited too.

    Args:
        photograph: whose faces have not been searched for.
        editor: the model.
        detector: of its faces.
        options: of the edit. The intensities of its edits are ignored, and so are labels.
        intensities: of the panels from the second on, each above 0.
        panel: P, side of a panel in pixels. It shows the face upright, with its surroundings.

    Returns:
        ``(faces · P, (1 + len(intensities)) · P, 3)`` uint8.

    Raises:
        DataError: the photograph shows no face, or ``aligned`` was requested and it is not aligned.
        ValueError: an edit of an attribute that is not among the model's, or a classifier with others.
    """
    options = replace(options, output="image", edit_present=True, edit_unsure=True)
    find_faces([photograph], detector, editor.size, options)
    if photograph.problem is not None:
        raise photograph.problem
    places = [face.placement for face in photograph.faces]
    columns = [_panels(photograph.image.pixels, places, panel)]
    for intensity in intensities:
        edits = tuple(replace(edit, intensity=intensity) for edit in options.edits)
        stronger = replace(options, edits=edits)
        edit_faces([photograph], editor, stronger)
        edited = put_back(photograph, editor.generator.config, stronger, in_place=False)
        columns.append(_panels(edited.pixels, places, panel))
    return np.concatenate(columns, axis=1)


def _panels(pixels: Pixels, places: Sequence[Placement], side: int) -> Pixels:
    """The faces in one column, ``(N · side, side, 3)``. Of an aligned image it is the square that the network sees."""
    views = [place if place.box is not None else place.widened(SURROUNDINGS) for place in places]
    return np.concatenate([take_face(pixels, view, side) for view in views])
