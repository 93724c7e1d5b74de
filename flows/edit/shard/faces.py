"""The stages that find and edit the faces of a chunk, and what the ledger says of them."""

from __future__ import annotations

from attgan.detection import Face
from attgan.editing.editor import Editor
from attgan.editing.photographs import Photograph, edit_faces, find_faces
from flows.edit.job import EditJob
from flows.edit.ledger import FaceRow
from flows.edit.shard.item import Chunk, Item
from flows.edit.shard.model import detector_of


def find(chunk: Chunk, size: int, job: EditJob) -> None:
    """Find the faces of decoded images and cut them out; an image without a face is skipped.

    ``size`` is the side of the square faces that the network takes.
    """
    options = job.options
    find_faces(_photographs(chunk), detector_of(int(options.min_face), job.model.on_gpu), size, options)
    for item in chunk:
        if item.photograph is None:
            continue
        if (problem := item.photograph.problem) is not None:
            item.skip(problem.stage, problem.reason)
            continue
        found = [face.found for face in item.photograph.faces if face.found is not None]
        item.row.faces = [_face_row(face) for face in found] or None


def edit(chunk: Chunk, editor: Editor, job: EditJob) -> None:
    """Edit the faces that were found, and describe them in the rows.

    An image whose faces all have the attributes already is copied or skipped, as the settings say.
    """
    edit_faces(_photographs(chunk), editor, job.options)
    for item in chunk:
        if item.photograph is not None:
            _describe(item, item.photograph)
            _leave(item, item.photograph, job)


def _photographs(chunk: Chunk) -> list[Photograph]:
    return [item.photograph for item in chunk if item.photograph is not None]


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


def _describe(item: Item, photograph: Photograph) -> None:
    """Fill in the columns about the faces: the row's own describe the largest face."""
    row, largest = item.row, photograph.faces[0]
    row.attributes_from, row.predicted = largest.attributes_from, largest.predicted
    row.targets, row.style = largest.targets, largest.style
    for face, face_row in zip(photograph.faces, row.faces or (), strict=False):
        face_row["status"] = face.left or "edited"
        face_row["attributes_from"], face_row["predicted"] = face.attributes_from, face.predicted
        face_row["targets"], face_row["style"] = face.targets, face.style


def _leave(item: Item, photograph: Photograph, job: EditJob) -> None:
    """Decide about an image of which no face is edited: it is copied, unless the settings say that it is skipped."""
    item.is_copy = photograph.is_left
    if not item.is_copy:
        return
    if any(face.left == "unsure" for face in photograph.faces):
        if job.settings.on_unsure == "skip":
            item.skip("edit", "unsure whether it has all that is asked for")
    elif job.settings.on_present == "skip":
        item.skip("edit", "has all that is asked for already")
