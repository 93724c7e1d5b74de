"""A dataset's parts: Parquet files of labelled images. Equal rows give equal bytes; what is read is verified.

Columns: ``image_id`` (string), ``image`` (the file's bytes), ``width``, ``height`` (int32, of the image as
stored), the 40 attributes of CelebA (bool; null where unknown), ``partition`` (int8: 0 train, 1 valid, 2 test;
null where the source had none), and ``identity`` (int32) where the source had it. Images are stored as they
are, since JPEG does not compress further.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.column_reader import read_columns, read_table
from attgan.data.manifest import Manifest, PartEntry, Unreadable, read_manifest
from attgan.data.stored import StoredImage
from attgan.errors import UserError

ROW_GROUP = 500
_NOTE = b"attgan"
_AGAIN = "; make the dataset again"


@dataclass(frozen=True)
class PartNote:
    """A record in a part's footer, by which the next run recognises the finished parts of a killed one.

    Attributes:
        plan: the digest of the plan that it belongs to.
        index: the number of the part.
        side: side of its smallest face, in pixels; 0 without rows.
        unreadable: images of its rows that were left out.
    """

    plan: str
    index: int
    side: int
    unreadable: tuple[Unreadable, ...]


def write_part(
    labels: Labels, images: Sequence[StoredImage], note: PartNote, unknown: np.ndarray | None = None
) -> bytes:
    """The Parquet file of these rows.

    Args:
        labels: ``n`` rows; a partition below 0 becomes null.
        images: one for each row, in the same order.
        note: for the footer.
        unknown: ``(n, 40)`` bool, attributes that become null; None: all are known.
    """
    columns: dict[str, pa.Array] = {
        "image_id": labels.image_ids,
        "image": pa.array([image.data for image in images], pa.binary()),
        "width": pa.array([image.width for image in images], pa.int32()),
        "height": pa.array([image.height for image in images], pa.int32()),
    }
    for i, name in enumerate(CELEBA):
        columns[name] = pa.array(labels.attributes[:, i], mask=None if unknown is None else unknown[:, i])
    partition = labels.partition
    columns["partition"] = (
        pa.nulls(len(labels), pa.int8())
        if partition is None
        else pa.array(partition, pa.int8(), mask=partition < 0)
    )
    if labels.identity is not None:
        columns["identity"] = pa.array(labels.identity, pa.int32())
    table = pa.table(columns).replace_schema_metadata({_NOTE: _note_to_json(note)})
    sink = pa.BufferOutputStream()
    # No dictionary and no statistics of the images: they would hold the images once more.
    others = [name for name in columns if name != "image"]
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        compression=dict.fromkeys(others, "zstd") | {"image": "none"},
        use_dictionary=False,
        write_statistics=others,
    )
    return bytes(sink.getvalue())


def read_part(data: bytes, where: str) -> tuple[pa.Table, PartNote]:
    """The rows and the note of a part's bytes; ``where`` names it in errors.

    Raises:
        UserError: it is not a part of ours.
    """
    try:
        table = read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError("parquet-malformed", f"{where}: is not a Parquet file ({error})") from error
    return table, _note_from_schema(table.schema, where)


def entry(name: str, data: bytes, rows: int) -> PartEntry:
    """The manifest's entry for a part's bytes."""
    return PartEntry(name=name, rows=rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def attribute_matrix(table: pa.Table, names: Sequence[str] = CELEBA) -> np.ndarray:
    """The attributes ``(n, a)`` bool of a part's rows, in the order of ``names``; none of them may hold nulls."""
    matrix = np.empty((table.num_rows, len(names)), dtype=bool)
    for i, name in enumerate(names):
        matrix[:, i] = table.column(name).to_numpy()
    return matrix


@dataclass(frozen=True)
class Dataset:
    """A finished dataset: its manifest, and the folder that holds it."""

    manifest: Manifest
    filesystem: fs.FileSystem
    folder: str

    def read(self, index: int) -> pa.Table:
        """Read part ``index``, and verify its bytes against the manifest's digest.

        Raises:
            UserError: the part is missing or is another one.
        """
        part, path = self.manifest.parts[index], self.path(index)
        try:
            with self.filesystem.open_input_file(path) as file:
                # With a known length S3 needs one request.
                data: bytes = file.read(part.bytes + 1)
        except FileNotFoundError as error:
            raise UserError(
                "dataset-damaged", f"{path}: the manifest names it, and it is not there{_AGAIN}"
            ) from error
        if len(data) != part.bytes or hashlib.sha256(data).hexdigest() != part.sha256:
            raise UserError("dataset-damaged", f"{path}: is not the file that the manifest names{_AGAIN}")
        return read_part(data, path)[0]

    def read_columns(self, index: int, names: Sequence[str]) -> pa.Table:
        """Read some columns of part ``index``. The file's size is checked, its digest is not.

        Raises:
            UserError: the part is missing, is another one, or lacks one of the columns.
        """
        part, path = self.manifest.parts[index], self.path(index)
        try:
            with self.filesystem.open_input_file(path) as file:
                if file.size() != part.bytes:
                    raise UserError(
                        "dataset-damaged", f"{path}: is not the file that the manifest names{_AGAIN}"
                    )
                table = read_columns(file, names)
        except FileNotFoundError as error:
            raise UserError(
                "dataset-damaged", f"{path}: the manifest names it, and it is not there{_AGAIN}"
            ) from error
        except pa.ArrowInvalid as error:
            raise UserError("parquet-malformed", f"{path}: is not a Parquet file ({error})") from error
        if table.num_rows != part.rows or set(table.column_names) != set(names):
            raise UserError("dataset-damaged", f"{path}: is not the file that the manifest names{_AGAIN}")
        return table

    def path(self, index: int) -> str:
        """The path of part ``index`` in the filesystem."""
        name = self.manifest.parts[index].name
        return f"{self.folder.rstrip('/')}/{name}" if self.folder else name


def open_dataset(filesystem: fs.FileSystem, folder: str) -> Dataset:
    """Open the dataset in ``folder``.

    Raises:
        UserError: it has no manifest, or one that cannot be used.
    """
    return Dataset(read_manifest(filesystem, folder), filesystem, folder)


def _note_to_json(note: PartNote) -> bytes:
    unreadable = [[item.image_id, item.reason] for item in note.unreadable]
    return json.dumps(
        {"plan": note.plan, "index": note.index, "side": note.side, "unreadable": unreadable}
    ).encode()


def _note_from_schema(schema: pa.Schema, where: str) -> PartNote:
    try:
        note = json.loads((schema.metadata or {})[_NOTE])
        unreadable = tuple(Unreadable(image_id=name, reason=reason) for name, reason in note["unreadable"])
        return PartNote(str(note["plan"]), int(note["index"]), int(note["side"]), unreadable)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("part-invalid", f"{where}: is not a part of a dataset of ours") from error
