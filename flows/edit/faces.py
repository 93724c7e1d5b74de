"""The faces of a shard's images: found, edited, and put back.

An aligned image has one, where CelebA's have theirs; in a photograph they are searched for.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from attgan.attributes import Edit, target_vector
from attgan.data.codec import Decoded
from attgan.editing.editor import Editor
from attgan.editing.finding.face import Face, Finder
from attgan.editing.finding.mtcnn import make_mtcnn
from attgan.editing.photo import find_places, have_already, unedited_vector
from attgan.editing.placement import put_difference, put_whole, take_face
from attgan.editing.reach import reach_of
from attgan.editing.similarity import scale_of
from attgan.errors import DataError
from flows.edit.item import Chunk, FaceOf, Item
from flows.edit.ledger import AttributesFrom, FaceRow
from flows.edit.run import Run
from flows.settings import EditSettings


def find_faces(chunk: Chunk, size: int, settings: EditSettings, on_gpu: bool) -> None:
    """Find the faces of decoded images and take them out; an image without one is skipped.

    Args:
        chunk: the images.
        size: side of the square faces that the network takes.
        settings: say which faces are meant.
        on_gpu: where the finder runs.
    """
    finder = finder_of(settings, on_gpu)
    for item in chunk:
        if item.image is None:
            continue
        pixels = item.image.pixels
        try:
            places = find_places(pixels, finder, settings.faces, settings.min_face, settings.min_confidence)
        except DataError as error:
            item.skip(error.stage, error.reason)
            continue
        if not places:
            item.skip("find", "no face found")
            continue
        rows = [None if face is None else _face_row(face) for face, _ in places]
        item.row.faces = [row for row in rows if row is not None] or None
        item.faces = [
            FaceOf(placement, take_face(pixels, placement, size), row)
            for (_, placement), row in zip(places, rows, strict=True)
        ]


def _face_row(face: Face) -> FaceRow:
    return {
        "box": [round(value, 2) for value in face.box],
        "landmarks": [round(value, 2) for value in face.landmarks.ravel().tolist()],
        "confidence": round(face.confidence, 4),
        "status": "edited",
        "attributes_from": None,
        "predicted": None,
        "targets": None,
    }


def finder_of(settings: EditSettings, on_gpu: bool) -> Finder:
    """What finds faces, as these settings want it."""
    return _finder("cuda" if on_gpu else "cpu", settings.min_face)


@functools.lru_cache(maxsize=1)
def _finder(device: str, min_face: int) -> Finder:
    return make_mtcnn(device, min_face=min_face)


def edit_faces(chunk: Chunk, editor: Editor, edits: tuple[Edit, ...], run: Run) -> None:
    """Edit the faces that were found; an image whose faces all have it already is left as it is, or skipped."""
    owners = [item for item in chunk for _ in item.faces]
    faces = [face for item in chunk for face in item.faces]
    if not faces:
        return
    pixels = np.stack([face.pixels for face in faces])  # (N, S, S, 3)
    sources = _source_attributes(owners, faces, pixels, editor, len(run.attributes))
    targets = target_vector(sources, edits, run.attributes)
    present = np.zeros(len(faces), dtype=bool)
    if run.settings.on_present != "edit":
        present = have_already(sources, edits, run.attributes)
        _leave(chunk, faces, present, run.settings)
    todo = np.flatnonzero(~present)
    fed, rows = targets[todo], todo
    if run.settings.paste == "difference" and run.settings.output == "image":
        # Edited and unchanged in one call, so that fewer batches have to be filled up.
        base = unedited_vector(sources[todo], edits, run.attributes)
        fed, rows = np.concatenate([fed, base]), np.tile(todo, 2)
    drawn = editor.edit(pixels[rows], fed)
    for place, index in enumerate(todo):
        face, told = faces[index], targets[index].tolist()
        face.edited = drawn[place]
        face.reconstructed = drawn[len(todo) + place] if len(drawn) > len(todo) else None
        if face.row is not None:
            face.row["targets"] = told
        if face is owners[index].faces[0]:
            owners[index].row.targets = told


def _leave(chunk: Chunk, faces: Sequence[FaceOf], present: np.ndarray, settings: EditSettings) -> None:
    """Mark the faces that are to stay as they are, and the images that have no others."""
    staying = {id(face) for face, there in zip(faces, present, strict=True) if there}
    for item in chunk:
        for face in item.faces:
            if id(face) in staying and face.row is not None:
                face.row["status"] = "present"
        item.present = bool(item.faces) and all(id(face) in staying for face in item.faces)
        if item.present and settings.on_present == "skip":
            item.skip("edit", "has all that is asked for already")


def _source_attributes(
    owners: Sequence[Item], faces: Sequence[FaceOf], pixels: np.ndarray, editor: Editor, count: int
) -> np.ndarray:
    """The faces' attributes before the edit, ``(N, n)`` 0, 1 or NaN: their labels, or what the classifier sees.

    A label file tells of the one face of an aligned image, and not of who is in a photograph.
    """
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
            _tell(owner, face, "labels", None)
        elif seen is None:
            _tell(owner, face, "unknown", None)
        else:
            _tell(owner, face, "classifier", [bool(value) for value in sources[index]])
    return sources


def _tell(owner: Item, face: FaceOf, attributes_from: AttributesFrom, predicted: list[bool] | None) -> None:
    if face.row is not None:
        face.row["attributes_from"], face.row["predicted"] = attributes_from, predicted
    if face is owner.faces[0]:
        owner.row.attributes_from, owner.row.predicted = attributes_from, predicted


def finished(item: Item, settings: EditSettings, edits: tuple[Edit, ...]) -> Decoded:
    """The image that is to be written: with its faces put back that have had the edits, or the bare face."""
    image = item.image
    assert image is not None
    if settings.output == "face":
        face = max(item.faces, key=lambda face: float(scale_of(face.placement.matrix)))
        return image.with_pixels(face.pixels if face.edited is None else face.edited)
    if item.present:
        return image
    pixels = image.pixels.copy()
    for face in item.faces:
        if face.edited is None:
            continue
        if face.reconstructed is not None:
            reach = reach_of(edits, len(face.edited))
            put_difference(pixels, face.placement, face.edited, face.reconstructed, reach)
        else:
            put_whole(pixels, face.placement, face.edited)
    return image.with_pixels(pixels)
