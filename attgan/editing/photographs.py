"""Edit photographs: find their faces, edit them, and put them back. There is no other way in which images are edited.

An aligned image is a photograph with one face, at the same place as in CelebA's images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from attgan.attributes import (
    DEFAULT_STYLE,
    AttributesFrom,
    Edit,
    have_already,
    target_vector,
    unedited_vector,
)
from attgan.data.codec import Decoded
from attgan.detection import Face, FaceDetector
from attgan.editing.change import change_of
from attgan.editing.editor import Editor
from attgan.editing.face_selection import MIN_CONFIDENCE, MIN_FACE, Faces, find_places
from attgan.editing.grey import greyed_face, is_grey
from attgan.editing.placement import Pixels, Placement, put_change, put_whole, take_face
from attgan.editing.records import NO_FACE
from attgan.editing.styles import adds_glasses, style_of_face, style_vector
from attgan.errors import DataError
from attgan.models import GeneratorConfig


@dataclass(frozen=True)
class EditOptions:
    """How photographs are edited.

    Attributes:
        attributes: n names, in the order of the model's vectors.
        edits: what is asked for.
        faces, min_face, min_confidence: which faces, see :func:`attgan.editing.face_selection.find_places`.
        paste: ``difference``: the edit's change is added, and all other pixels stay equal to the bit; ``whole``: the
            generator's whole output is pasted, which is blurrier than the photograph.
        output: the whole image with the edited faces in it, or the largest face alone.
        edit_present: whether to edit faces that have what is asked for already.
        edit_unsure: whether to edit faces of which the classifier does not know whether they have it.
        style: of the glasses, where the photograph has none of its own.
    """

    attributes: Sequence[str]
    edits: tuple[Edit, ...]
    faces: Faces = "auto"
    min_face: float = MIN_FACE
    min_confidence: float = MIN_CONFIDENCE
    paste: Literal["difference", "whole"] = "difference"
    output: Literal["image", "face"] = "image"
    edit_present: bool = False
    edit_unsure: bool = True
    style: Sequence[str] = DEFAULT_STYLE


@dataclass
class PhotographFace:
    """A face of a photograph, as the network sees it.

    Attributes:
        placement: where in the image it is.
        pixels: ``(S, S, 3)`` uint8, RGB.
        found: by the face detector; None for the face of an aligned image.
        attributes_from: where its attributes before the edit come from.
        predicted: the classifier's predictions; None if it was not asked.
        left: why it is not edited; None if it is.
        targets: the attribute vector that the network received; None if it is not edited.
        style: of its glasses, joined by commas; None if it gets none, or of no known style.
        edited: the same face with the edit; None if it is not edited.
        reconstructed: the same face as the network draws it without any edit; None if it is not needed.
    """

    placement: Placement
    pixels: np.ndarray
    found: Face | None = None
    attributes_from: AttributesFrom | None = None
    predicted: list[bool | None] | None = None
    left: Literal["present", "unsure"] | None = None
    targets: list[float] | None = None
    style: str | None = None
    edited: np.ndarray | None = None
    reconstructed: np.ndarray | None = None


@dataclass
class Photograph:
    """A decoded image on its way through an edit.

    Attributes:
        image: as decoded.
        name: draws the style of each face where styles are mixed.
        labels: the attributes of an aligned image's face, in the model's order; NaN where unknown, None if all are.
            They do not say which face of a photograph they mean, so there they are not used.
        style: of the glasses of all its faces; None if the options decide.
        faces: to edit, the largest first.
        problem: why it has none, after the search.
    """

    image: Decoded
    name: str
    labels: Sequence[float] | None = None
    style: Sequence[str] | None = None
    faces: list[PhotographFace] = field(default_factory=list)
    problem: DataError | None = None

    @property
    def is_left(self) -> bool:
        """Whether it has faces, and none of them is edited."""
        return bool(self.faces) and all(face.left is not None for face in self.faces)


def edit_photographs(
    photographs: Sequence[Photograph], editor: Editor, detector: FaceDetector, options: EditOptions
) -> None:
    """Find the faces of photographs and edit them. :func:`put_back` makes the images of them."""
    find_faces(photographs, detector, editor.size, options)
    edit_faces(photographs, editor, options)


def find_faces(
    photographs: Sequence[Photograph], detector: FaceDetector, size: int, options: EditOptions
) -> None:
    """Find the faces of photographs and cut them out, as squares of ``size`` pixels."""
    places = find_places(
        [photograph.image.pixels for photograph in photographs],
        detector,
        options.faces,
        options.min_face,
        options.min_confidence,
    )
    for photograph, found in zip(photographs, places, strict=True):
        if isinstance(found, DataError):
            photograph.problem = found
            continue
        pixels = photograph.image.pixels
        photograph.problem = None if found else DataError("find", NO_FACE)
        chosen = found[:1] if options.output == "face" else found
        photograph.faces = [
            PhotographFace(place, take_face(pixels, place, size), face) for face, place in chosen
        ]


def edit_faces(photographs: Sequence[Photograph], editor: Editor, options: EditOptions) -> None:
    """Edit the faces that were found, all in one call of the network."""
    faces = [face for photograph in photographs for face in photograph.faces]
    if not faces:
        return
    owners = [photograph for photograph in photographs for _ in photograph.faces]
    numbers = [number for photograph in photographs for number in range(len(photograph.faces))]
    # (N, S, S, 3)
    pixels = np.stack([face.pixels for face in faces])
    sources, unsure = _source_attributes(owners, faces, pixels, editor, options)
    _choose(faces, sources, unsure, options)
    todo = [row for row, face in enumerate(faces) if face.left is None]
    vectors = target_vector(sources[todo], options.edits, options.attributes)
    for row, targets in zip(todo, vectors, strict=True):
        faces[row].targets = targets.tolist()
    styles = np.zeros((len(todo), editor.generator.config.n_styles), dtype=np.float32)
    if editor.generator.config.styles and adds_glasses(options.edits):
        for place, row in enumerate(todo):
            style = style_of_face(owners[row].style or options.style, owners[row].name, numbers[row])
            faces[row].style = ",".join(style)
            styles[place] = style_vector(style, editor.generator.config.styles)
    fed = np.concatenate([vectors, styles], axis=1)
    if options.paste == "whole" or options.output == "face":
        edited, unedited = editor.edit(pixels[todo], fed), None
    else:
        # The faces with the edit and without it go through the network in one call, so that less padding is needed.
        base = unedited_vector(sources[todo], options.edits, options.attributes)
        base = np.pad(base, ((0, 0), (0, styles.shape[1])))
        edited, unedited = np.split(editor.edit(pixels[todo + todo], np.concatenate([fed, base])), 2)
    for place, row in enumerate(todo):
        faces[row].edited = edited[place]
        faces[row].reconstructed = None if unedited is None else unedited[place]


def _choose(
    faces: Sequence[PhotographFace], sources: np.ndarray, unsure: np.ndarray, options: EditOptions
) -> None:
    """Say of each face whether it is edited, and forget an earlier edit."""
    present = have_already(sources, options.edits, options.attributes)
    for row, face in enumerate(faces):
        face.left = face.targets = face.style = face.edited = face.reconstructed = None
        if unsure[row] and not options.edit_unsure:
            face.left = "unsure"
        elif present[row] and not options.edit_present:
            face.left = "present"


def put_back(
    photograph: Photograph, generator: GeneratorConfig, options: EditOptions, *, in_place: bool
) -> Decoded:
    """The image to write: the input with its edited faces put back, in its own pixels, or only the face.

    Args:
        photograph: with its edited faces.
        generator: of the model.
        options: with which it was edited.
        in_place: whether the photograph's own pixels may be changed, which saves a copy of them.
    """
    image = photograph.image
    if options.output == "face":
        (face,) = photograph.faces
        if face.edited is None:
            return image.with_pixels(face.pixels)
        return image.with_pixels(greyed_face(face.edited) if is_grey(image.pixels) else face.edited)
    if photograph.is_left:
        return image
    grey = is_grey(image.pixels)
    pixels = image.editable() if in_place else image.pixels.copy()
    for face in photograph.faces:
        if face.edited is None:
            continue
        if face.reconstructed is not None:
            change = change_of(generator, options.edits, face.edited, face.reconstructed, face.placement.side)
            put_change(pixels, face.placement, change, grey=grey)
        else:
            put_whole(pixels, face.placement, face.edited, grey=grey)
    return image.with_pixels(pixels)


def _source_attributes(
    owners: Sequence[Photograph],
    faces: Sequence[PhotographFace],
    pixels: Pixels,
    editor: Editor,
    options: EditOptions,
) -> tuple[np.ndarray, np.ndarray]:
    """The faces' attributes before the edit: their labels, or the classifier's predictions.

    Returns:
        The attributes, ``(N, n)`` of 0, 1 or NaN; and for which faces the classifier is unsure about one of those that
        the edits set, ``(N,)`` bool.
    """
    columns = [options.attributes.index(edit.attribute) for edit in options.edits]
    unsure = np.zeros(len(faces), dtype=bool)
    sources = np.full((len(faces), len(options.attributes)), np.nan, dtype=np.float32)
    labelled = np.array(
        [owner.labels is not None and face.found is None for owner, face in zip(owners, faces, strict=True)]
    )
    seen = editor.recognise(pixels[~labelled])
    if seen is not None:
        sources[~labelled] = seen
    for index, (owner, face) in enumerate(zip(owners, faces, strict=True)):
        if labelled[index]:
            sources[index] = owner.labels
            face.attributes_from = "labels"
        elif seen is None:
            face.attributes_from = "unknown"
        else:
            unsure[index] = np.isnan(sources[index, columns]).any()
            face.attributes_from = "unsure" if unsure[index] else "classifier"
            face.predicted = [None if np.isnan(value) else bool(value) for value in sources[index]]
    return sources, unsure
