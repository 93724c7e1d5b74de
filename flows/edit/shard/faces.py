"""The faces of a shard's images: find them, edit them, and put them back.

An aligned image has one face, at the same place as CelebA's images. In a photograph the face detector searches for
faces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attgan.attributes import DEFAULT_STYLE, have_already, target_vector, unedited_vector
from attgan.data.codec import Decoded
from attgan.detection.aligned_check import holds_face
from attgan.detection.face import Face, FaceDetector
from attgan.detection.similarity import scale_of
from attgan.editing.change import change_of
from attgan.editing.editor import Editor
from attgan.editing.face_selection import known_aligned, places_among
from attgan.editing.grey import greyed_face, is_grey
from attgan.editing.placement import (
    Pixels,
    Placement,
    aligned_placement,
    put_change,
    put_whole,
    take_face,
)
from attgan.editing.styles import adds_glasses, style_of_face, style_vector
from attgan.errors import DataError
from attgan.models import GeneratorConfig
from flows.edit.job import EditJob
from flows.edit.ledger import NO_FACE, AttributesFrom, FaceRow
from flows.edit.shard.item import Chunk, FaceOf, Item
from flows.edit.shard.model import detector_of
from flows.settings import EditSettings


def find_faces(chunk: Chunk, size: int, job: EditJob) -> None:
    """Find the faces of decoded images and cut them out; an image without a face is skipped.

    Args:
        chunk: the images.
        size: side of the square faces that the network takes.
        job: which faces to edit, and where the face detector runs.
    """
    for item, places in _places(chunk, job.settings, detector_of(job.settings.min_face, job.model.on_gpu)):
        assert item.image is not None
        pixels = item.image.pixels
        if not places:
            item.skip("find", NO_FACE)
            continue
        rows = [None if face is None else _face_row(face) for face, _ in places]
        item.row.faces = [row for row in rows if row is not None] or None
        item.faces = [
            FaceOf(placement, take_face(pixels, placement, size), row)
            for (_, placement), row in zip(places, rows, strict=True)
        ]


def _places(
    chunk: Chunk, settings: EditSettings, detector: FaceDetector
) -> list[tuple[Item, list[tuple[Face | None, Placement]]]]:
    """The images and the places of their faces. The detector gets all photographs at once, which is much faster."""
    seen = _faces_seen(chunk) if settings.faces == "auto" else {}
    aligned: list[tuple[Item, list[tuple[Face | None, Placement]]]] = []
    searched: list[tuple[Item, Pixels]] = []
    for item in chunk:
        if item.image is None:
            continue
        pixels = item.image.pixels
        try:
            whole = known_aligned(pixels, settings.faces, face_seen=seen.get(id(item)))
        except DataError as error:
            item.skip(error.stage, error.reason)
            continue
        if whole is None:
            searched.append((item, pixels))
        else:
            aligned.append((item, [(None, whole)]))
    found = detector.find([pixels for _, pixels in searched])
    return aligned + [
        (item, places_among(pixels, faces, settings.faces, settings.min_face, settings.min_confidence))
        for (item, pixels), faces in zip(searched, found, strict=True)
    ]


def _faces_seen(chunk: Chunk) -> dict[int, bool]:
    """Whether each image with the proportions 178×218 shows a face, by ``id`` of the item; checked in one batch."""
    asked, images = [], []
    for item in chunk:
        if item.image is None:
            continue
        height, width = item.image.pixels.shape[:2]
        if width != height and aligned_placement(width, height) is not None:
            asked.append(id(item))
            images.append(item.image.pixels)
    return dict(zip(asked, holds_face(images).tolist(), strict=True))


def _face_row(face: Face) -> FaceRow:
    return {
        "box": [round(value, 2) for value in face.box],
        "landmarks": [round(value, 2) for value in face.landmarks.ravel().tolist()],
        "confidence": round(face.confidence, 4),
        "status": "edited",
        "attributes_from": None,
        "predicted": None,
        "targets": None,
        "style": None,
    }


def edit_faces(chunk: Chunk, editor: Editor, job: EditJob) -> None:
    """Edit the faces that were found.

    An image whose faces all have the attributes already is copied or skipped, as the settings say.
    """
    owners = [item for item in chunk for _ in item.faces]
    # The number of each face within its image.
    numbers = [number for item in chunk for number in range(len(item.faces))]
    faces = [face for item in chunk for face in item.faces]
    if not faces:
        return
    # (N, S, S, 3)
    pixels = np.stack([face.pixels for face in faces])
    columns = [job.attributes.index(edit.attribute) for edit in job.edits]
    sources, unsure = _source_attributes(owners, faces, pixels, editor, len(job.attributes), columns)
    targets = target_vector(sources, job.edits, job.attributes)
    staying = np.zeros(len(faces), dtype=bool)
    if job.settings.on_present != "edit":
        staying |= have_already(sources, job.edits, job.attributes)
    if job.settings.on_unsure != "edit":
        staying |= unsure
    _leave(chunk, faces, staying, unsure, job.settings)
    todo = np.flatnonzero(~staying)
    styles, chosen = _styles(owners, numbers, todo, editor, job)
    fed, rows = np.concatenate([targets[todo], styles], axis=1), todo
    if job.settings.paste == "difference" and job.settings.output == "image":
        # The faces with the edit and without it go through the network in one call, so that less padding is needed.
        base = unedited_vector(sources[todo], job.edits, job.attributes)
        base = np.pad(base, ((0, 0), (0, styles.shape[1])))
        fed, rows = np.concatenate([fed, base]), np.tile(todo, 2)
    drawn = editor.edit(pixels[rows], fed)
    for place, index in enumerate(todo):
        face, target = faces[index], targets[index].tolist()
        face.edited = drawn[place]
        face.reconstructed = drawn[len(todo) + place] if len(drawn) > len(todo) else None
        if face.row is not None:
            face.row["targets"], face.row["style"] = target, chosen[place]
        if face is owners[index].faces[0]:
            owners[index].row.targets, owners[index].row.style = target, chosen[place]


def _styles(
    owners: Sequence[Item],
    numbers: Sequence[int],
    todo: np.ndarray,
    editor: Editor,
    job: EditJob,
) -> tuple[np.ndarray, list[str | None]]:
    """The style vectors of the faces to edit, ``(len(todo), k)``, and their names; zeros where no glasses are added."""
    known = editor.generator.config.styles
    vectors = np.zeros((len(todo), len(known)), dtype=np.float32)
    chosen: list[str | None] = [None] * len(todo)
    if not known or not adds_glasses(job.edits):
        return vectors, chosen
    for place, index in enumerate(todo):
        owner = owners[index]
        wanted = owner.style or job.settings.style or DEFAULT_STYLE
        asked = style_of_face(wanted, owner.row.key, numbers[index])
        vectors[place] = style_vector(asked, known)
        chosen[place] = ",".join(asked)
    return vectors, chosen


def _leave(
    chunk: Chunk,
    faces: Sequence[FaceOf],
    staying: np.ndarray,
    unsure: np.ndarray,
    settings: EditSettings,
) -> None:
    """Mark the faces that are not edited, and the images that have no other faces."""
    left = {id(face): bool(open_) for face, stays, open_ in zip(faces, staying, unsure, strict=True) if stays}
    for item in chunk:
        for face in item.faces:
            if id(face) in left and face.row is not None:
                face.row["status"] = "unsure" if left[id(face)] else "present"
        item.present = bool(item.faces) and all(id(face) in left for face in item.faces)
        if not item.present:
            continue
        if any(left[id(face)] for face in item.faces):
            if settings.on_unsure == "skip":
                item.skip("edit", "unsure whether it has all that is asked for")
        elif settings.on_present == "skip":
            item.skip("edit", "has all that is asked for already")


def _source_attributes(
    owners: Sequence[Item],
    faces: Sequence[FaceOf],
    pixels: np.ndarray,
    editor: Editor,
    count: int,
    columns: list[int],
) -> tuple[np.ndarray, np.ndarray]:
    """The faces' attributes before the edit: their labels, or the classifier's predictions.

    Labels are only used for the one face of an aligned image. They do not say which face of a photograph they mean.

    Returns:
        The attributes, ``(N, n)`` of 0, 1 or NaN; and for which faces the classifier is unsure about one of
        ``columns``, ``(N,)`` bool.
    """
    unsure = np.zeros(len(faces), dtype=bool)
    sources = np.full((len(faces), count), np.nan, dtype=np.float32)
    labelled = np.array(
        [owner.labels is not None and face.row is None for owner, face in zip(owners, faces, strict=True)]
    )
    seen = editor.recognise(pixels[~labelled])
    if seen is not None:
        sources[~labelled] = seen
    for index, (owner, face) in enumerate(zip(owners, faces, strict=True)):
        if labelled[index]:
            sources[index] = owner.labels
            _record_source(owner, face, "labels", None)
        elif seen is None:
            _record_source(owner, face, "unknown", None)
        else:
            unsure[index] = np.isnan(sources[index, columns]).any()
            predicted = [None if np.isnan(value) else bool(value) for value in sources[index]]
            _record_source(owner, face, "unsure" if unsure[index] else "classifier", predicted)
    return sources, unsure


def _record_source(
    owner: Item, face: FaceOf, attributes_from: AttributesFrom, predicted: list[bool | None] | None
) -> None:
    if face.row is not None:
        face.row["attributes_from"], face.row["predicted"] = attributes_from, predicted
    if face is owner.faces[0]:
        owner.row.attributes_from, owner.row.predicted = attributes_from, predicted


def finished(item: Item, job: EditJob, generator: GeneratorConfig) -> Decoded:
    """The image to write: the input with its edited faces put back, in its own pixels, or only the face."""
    image = item.image
    assert image is not None
    if job.settings.output == "face":
        face = max(item.faces, key=lambda face: float(scale_of(face.placement.matrix)))
        if face.edited is None:
            return image.with_pixels(face.pixels)
        return image.with_pixels(greyed_face(face.edited) if is_grey(image.pixels) else face.edited)
    if item.present:
        return image
    grey = is_grey(image.pixels)
    pixels = image.editable()
    for face in item.faces:
        if face.edited is None:
            continue
        if face.reconstructed is not None:
            change = change_of(generator, job.edits, face.edited, face.reconstructed, face.placement.side)
            put_change(pixels, face.placement, change, grey=grey)
        else:
            put_whole(pixels, face.placement, face.edited, grey=grey)
    return image.with_pixels(pixels)
