"""Edit one image file on this machine's disk, through the same stages as a shard, without any server."""

from __future__ import annotations

import asyncio
import os
from typing import get_args

import numpy as np

from attgan.data import codec
from attgan.data.codec import FORMATS
from attgan.editing.photographs import Photograph
from attgan.editing.slide import slide
from attgan.errors import DataError, UserError
from attgan.evaluation.plots.image_grids import faces_grid
from flows.edit.job import resolve_at
from flows.edit.ledger import Row
from flows.edit.naming import extension_of
from flows.edit.shard.item import Item
from flows.edit.shard.model import detector_of, editor_of
from flows.edit.shard.streaming import stream
from flows.edit.shard.writing import KEY_EXISTS
from flows.settings import EditSettings
from flows.settings.edit import OutputFormat
from flows.storage import open_store
from flows.words import counted

INTENSITIES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
# Height of a panel of the comparison, in pixels.
PANEL = 192


class NotEdited(Exception):
    """One image file that could not be edited, through no mistake in the command.

    Args:
        code: as in :class:`attgan.errors.UserError`.
        line: why.
    """

    def __init__(self, code: str, line: str) -> None:
        super().__init__(code, line)
        self.code = code
        self.line = line

    def __str__(self) -> str:
        return f"[{self.code}] {self.line}"


def edit_file(settings: EditSettings) -> Row:
    """Edit one image file. The output has the same bytes as in a run over the file's folder.

    Args:
        settings: ``source`` is the file; ``destination`` is the new file, or a folder for a file of the same name. If
            ``format`` is not set, the new name's extension decides.

    Returns:
        The file's row, as in a ledger.

    Raises:
        UserError: a place, a bundle or an attribute does not exist; the new file is the source itself, or its name asks
            for a format that cannot be written.
        NotEdited: the file shows no face, is not an image, or the output file exists.
        StorageError: the disk failed.
    """
    folder, name = os.path.split(settings.source)
    target = settings.destination
    if os.path.isdir(target):
        target = os.path.join(target, name)
    if os.path.exists(target) and os.path.samefile(settings.source, target):
        raise UserError("destination-overlaps-source", f"--destination {target}: is the file of --source")
    place, new_name = os.path.split(target)
    wanted = {"source": folder, "destination": place}
    if settings.format == "keep":
        wanted["format"] = _format_of(new_name, name)
    local = settings.model_copy(update=wanted)
    destination = open_store(place, option="--destination")
    destination.check(write=True)
    request = resolve_at(local, open_store(folder), destination)
    row = Row(name, new_name, "")
    labels = request.labels.by_name.get(name)
    item = Item(row, os.path.getsize(settings.source), style=request.styles.by_key.get(name))
    item.labels = None if labels is None else [float(value) for value in labels]
    asyncio.run(stream(request, [item]))
    if row.status not in ("edited", "copied"):
        if row.status == "skipped" and (row.reason or "").startswith(KEY_EXISTS):
            raise NotEdited(
                "file-not-edited",
                f"--destination {settings.destination}: exists already; --on-existing overwrite replaces it",
            )
        raise NotEdited("file-not-edited", f"{settings.source}: {row.status} at {row.stage}: {row.reason}")
    return row


def slide_file(settings: EditSettings) -> str:
    """Write a picture of a photograph's faces, unedited and edited with rising intensity, to choose an intensity.

    Args:
        settings: ``source`` is the file; ``destination`` the picture, a JPEG.

    Returns:
        One line for the user.

    Raises:
        UserError: as :func:`edit_file`.
        NotEdited: the file shows no face, is not an image, or the picture's file exists.
        StorageError: the disk failed.
    """
    folder, name = os.path.split(settings.source)
    place, new_name = os.path.split(settings.destination)
    destination = open_store(place, option="--destination")
    request = resolve_at(settings, open_store(folder), destination)
    try:
        with open(settings.source, "rb") as file:
            image = codec.decode(file.read(request.limits.max_bytes + 1), request.limits)
        strip = slide(
            Photograph(image, name, style=request.styles.by_key.get(name)),
            editor_of(request.model),
            detector_of(settings.min_face, on_gpu=False),
            request.options,
            INTENSITIES,
            panel=PANEL,
        )
    except DataError as error:
        raise NotEdited("file-not-edited", f"{settings.source}: {error}") from None
    captions = ["as it is", *(f"intensity {intensity:g}" for intensity in INTENSITIES)]
    columns = [
        (caption, column.reshape(-1, PANEL, PANEL, 3))
        for caption, column in zip(captions, np.split(strip, len(captions), axis=1), strict=True)
    ]
    try:
        destination.put(new_name, faces_grid(columns, side=PANEL), create_only=True)
    except FileExistsError:
        raise NotEdited("file-exists", f"{settings.destination}: exists and is not replaced") from None
    return f"{settings.destination}: {counted(len(strip) // PANEL, 'face')}, {', '.join(captions)}"


def describe_row(row: Row) -> str:
    """The outcome for one file, on one line for the user."""
    faces = len(row.faces) if row.faces is not None else 1
    what = (
        "edited"
        if row.status == "edited"
        else "copied unchanged, because all its faces have the attributes already"
    )
    return f"{row.output_key}: {what} ({counted(faces, 'face')}, {row.width}×{row.height})"


def _format_of(new_name: str, name: str) -> str:
    """The value of ``--format`` that an output's name asks for; ``keep`` without an extension, or with the input's.

    Raises:
        UserError: it asks for a format that cannot be written.
    """
    extension = extension_of(new_name)
    formats = [format for format in get_args(OutputFormat) if format != "keep"]
    for format in formats:
        if extension in FORMATS[format.upper()].extensions:
            return format
    if extension not in ("", extension_of(name)):
        raise UserError(
            "output-format-unknown",
            f"--destination {new_name}: {extension} is none of the formats that are written: {', '.join(formats)}",
        )
    return "keep"
