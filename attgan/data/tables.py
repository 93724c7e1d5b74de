"""Reads foreign Parquet tables of image bytes and labels.

A source is one file or a folder of files, as dataset hubs publish them. Images are bytes, or a struct of ``bytes`` and
``path``. Labels are bool, 0 and 1, or -1 and 1, and null where unknown. A partition is a number or a name, and so is an
identity. All columns but the images are small, and are read first; then the images are read, a few at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from attgan.attributes import CELEBA, check_names
from attgan.data.celeba import Labels
from attgan.data.table_values import id_values, identity_values, label_values, partition_values
from attgan.errors import UserError

IMAGE = "image"
_USUAL = {"image_id": ("image_id",), "partition": ("partition", "split"), "identity": ("identity",)}
# Images read at a time.
_BATCH = 128
_BUFFER = 4 * 2**20


class Columns(NamedTuple):
    """The names of a source's columns.

    Attributes:
        image: of the images.
        image_id: of the images' names. None: rows are numbered.
        partition: of the partitions. None: rows have none.
        identity: of the people's numbers or names. None: they are unknown.
        attributes: the column of each of CelebA's attributes that the source has.
        ignored: all other columns.
    """

    image: str
    image_id: str | None
    partition: str | None
    identity: str | None
    attributes: Mapping[str, str]
    ignored: tuple[str, ...]


class TableFile(NamedTuple):
    """One file of a source."""

    path: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Tables:
    """A source, of which all but the images has been read.

    Attributes:
        filesystem: that holds its files.
        files: in the order of their names.
        columns: what its columns are.
        labels: of all ``N`` rows, in the files' order; attributes are False, and the partition is -1, where unknown.
        unknown: ``(N, 40)`` bool.
    """

    filesystem: fs.FileSystem
    files: tuple[TableFile, ...]
    columns: Columns
    labels: Labels
    unknown: np.ndarray

    def digest(self, choices: Mapping[str, object]) -> str:
        """SHA-256 of ``choices``, all labels and the files' sizes: of what determines the dataset."""
        columns = [self.columns.image, *(file.bytes for file in self.files)]
        digest = hashlib.sha256(json.dumps([choices, columns], sort_keys=True).encode())
        digest.update("\n".join(self.labels.image_ids.to_pylist()).encode())
        labels = self.labels
        for column in (labels.attributes, self.unknown, labels.partition, labels.identity):
            digest.update(b"\0none\0" if column is None else column.astype("<i4").tobytes())
        return digest.hexdigest()

    def images(self, start: int = 0) -> Iterator[bytes | None]:
        """The images from row ``start`` on, None for null. Few are in memory at a time, however large a file is.

        Raises:
            UserError: a file is not as it was before.
        """
        for file in self.files:
            if start < file.rows:
                yield from _images(self.filesystem, file, self.columns.image, start)
            start = max(0, start - file.rows)


def find_columns(
    names: Sequence[str],
    *,
    image: str = IMAGE,
    image_id: str | None = None,
    partition: str | None = None,
    identity: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> Columns:
    """Find the role of each of the columns ``names``.

    Args:
        names: of a source.
        image: the images' column.
        image_id: the images' names; by default ``image_id``, if there is such a column.
        partition: by default ``partition`` or else ``split``, if there is one of them.
        identity: by default ``identity``, if there is such a column.
        rename: CelebA's name of a column that is called otherwise.

    Raises:
        UserError: a requested column is missing, or no column is one of CelebA's attributes.
    """
    requested = {"--image-column": image, "--id-column": image_id}
    requested |= {"--partition-column": partition, "--identity-column": identity}
    for option, name in requested.items():
        if name is not None and name not in names:
            raise UserError(
                "column-missing", f"{option} {name}: there is no such column; there are {', '.join(names)}"
            )
    rename = rename or {}
    for old, new in rename.items():
        where = f"--rename {old}={new}"
        if old not in names:
            raise UserError(
                "column-missing", f"{where}: there is no column {old}; there are {', '.join(names)}"
            )
        check_names([new], CELEBA, where)
        if new in names and new not in rename:
            raise UserError("column-repeated", f"{where}: there is a column {new} already")
        if next(other for other, name in rename.items() if name == new) != old:
            raise UserError("column-repeated", f"{where}: another column is renamed to {new} already")
    attributes = {rename.get(name, name): name for name in names if rename.get(name, name) in CELEBA}
    if not attributes:
        raise UserError(
            "attribute-columns-missing",
            f"not one of the columns {', '.join(names)} is one of CelebA's attributes; --rename OLD=NEW says "
            "which are",
        )
    given = {"image_id": image_id, "partition": partition, "identity": identity}
    for role, usual in _USUAL.items():
        given[role] = given[role] or next((name for name in usual if name in names), None)
    used = {image, *given.values(), *attributes.values()}
    ordered = {name: attributes[name] for name in CELEBA if name in attributes}
    return Columns(image, **given, attributes=ordered, ignored=tuple(n for n in names if n not in used))


def read_tables(filesystem: fs.FileSystem, path: str, where: str, **options: object) -> Tables:
    """Read a source except for its images.

    Args:
        filesystem: where it is.
        path: of one file, or of a folder whose ``*.parquet`` are read in the order of their names.
        where: what errors call it, such as ``--source s3://…``.
        options: see :func:`find_columns`.

    Raises:
        UserError: there are no files, files are not Parquet or differ in their columns, a column is missing, a label,
            partition or identity is invalid, or two images have the same name.
    """
    files: list[TableFile] = []
    tables: list[pa.Table] = []
    columns: Columns | None = None
    for info in _find(filesystem, path, where):
        name = info.path.rsplit("/", 1)[-1]
        try:
            with filesystem.open_input_file(info.path) as file, pq.ParquetFile(file) as parquet:
                schema = parquet.schema_arrow
                if columns is None:
                    columns = find_columns(schema.names, **options)  # type: ignore[arg-type]
                wanted = [columns.image_id, columns.partition, columns.identity, *columns.attributes.values()]
                read = [column for column in wanted if column is not None]
                missing = [column for column in [columns.image, *read] if column not in schema.names]
                if missing:
                    first = files[0].path.rsplit("/", 1)[-1]
                    raise UserError(
                        "table-columns-differ",
                        f"{where}: {name} has no column {missing[0]}, and {first} has one",
                    )
                _check_image_type(schema.field(columns.image).type, columns.image, f"{where}: {name}")
                table = parquet.read(columns=read, use_threads=False)
        except pa.ArrowInvalid as error:
            raise UserError(
                "parquet-malformed", f"{where}: {name} is not a Parquet file ({error})"
            ) from error
        files.append(TableFile(info.path, info.size, table.num_rows))
        tables.append(table)
    assert columns is not None
    labels, unknown = _labels(tables, files, columns, where)
    return Tables(filesystem, tuple(files), columns, labels, unknown)


def _find(filesystem: fs.FileSystem, path: str, where: str) -> list[fs.FileInfo]:
    info = filesystem.get_file_info(path)
    if info.is_file:
        return [info]
    found = []
    if info.type == fs.FileType.Directory:
        for one in filesystem.get_file_info(fs.FileSelector(path)):
            name = one.path.rsplit("/", 1)[-1]
            if one.is_file and name.endswith(".parquet") and not name.startswith(("_", ".")):
                found.append(one)
    if not found:
        raise UserError(
            "parquet-missing", f"{where}: there is no Parquet file, neither this nor *.parquet in it"
        )
    return sorted(found, key=lambda one: one.path)


def _check_image_type(kind: pa.DataType, name: str, where: str) -> None:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        kind = kind.field(index).type if index >= 0 else pa.null()
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)):
        raise UserError(
            "image-column-type",
            f"{where}: --image-column {name}: must hold bytes, or a struct with bytes; it is {kind}",
        )


def _images(filesystem: fs.FileSystem, file: TableFile, column: str, start: int) -> Iterator[bytes | None]:
    with (
        filesystem.open_input_file(file.path) as opened,
        pq.ParquetFile(opened, buffer_size=_BUFFER, pre_buffer=False) as parquet,
    ):
        if parquet.metadata.num_rows != file.rows:
            raise UserError("source-changed", f"{file.path}: has changed since it was first read")
        groups: list[int] = []
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if groups or start < rows:
                groups.append(group)
            else:
                start -= rows
        for batch in parquet.iter_batches(_BATCH, groups, [column], use_threads=False):
            values = batch.column(0)
            if pa.types.is_struct(values.type):
                values = pc.struct_field(values, "bytes")
            yield from values[start:].to_pylist()
            start = max(0, start - len(values))


def _labels(
    tables: Sequence[pa.Table], files: Sequence[TableFile], columns: Columns, where: str
) -> tuple[Labels, np.ndarray]:
    count = sum(file.rows for file in files)
    if not count:
        raise UserError("source-without-rows", f"{where}: has no rows")
    attributes = np.zeros((count, len(CELEBA)), dtype=bool)
    unknown = np.ones((count, len(CELEBA)), dtype=bool)
    for name, column in columns.attributes.items():
        values = _column(tables, column)
        i = CELEBA.index(name)
        attributes[:, i], unknown[:, i] = label_values(values, f"{where}: column {column}")
    identity, partition = None, np.full(count, -1, dtype=np.int8)
    if columns.partition is not None:
        option = f"{where}: --partition-column {columns.partition}"
        partition = partition_values(_column(tables, columns.partition), option)
    if columns.identity is not None:
        option = f"{where}: --identity-column {columns.identity}"
        identity = identity_values(_column(tables, columns.identity), option)
    if columns.image_id is None:
        ids = pa.array([name for file in files for name in _numbered(file)], pa.string())
    else:
        option = f"{where}: --id-column {columns.image_id}"
        ids = id_values(_column(tables, columns.image_id), option)
    return Labels(ids, attributes, partition, identity), unknown


def _column(tables: Sequence[pa.Table], name: str) -> pa.ChunkedArray:
    """One column of all files. Their types may differ: one that is all null has none of its own."""
    chunks = [chunk for table in tables for chunk in table.column(name).chunks]
    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string() if kinds else pa.null()
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)


def _numbered(file: TableFile) -> Iterator[str]:
    stem = file.path.rsplit("/", 1)[-1].removesuffix(".parquet")
    return (f"{stem}-{row:07d}" for row in range(file.rows))
