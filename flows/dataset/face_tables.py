"""Reads the faces that a bundle is measured on, from tables that name image files or from datasets."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.celeba import PARTITIONS
from attgan.data.table_values import label_values, partition_values
from attgan.data.tables import IMAGE, read_tables
from attgan.errors import UserError
from flows.settings import EvaluateSettings
from flows.storage import open_store
from flows.words import counted

_DELIMITERS = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True)
class ListedFace:
    """The row of a face in its table.

    Attributes:
        set: the set of faces that it belongs to; figures are also reported for each set.
        name: of the image, within the set.
        wears: whether it wears glasses.
        grey, male, young: None if unknown.
        copy: whether it is a grey copy of another face that is measured.
    """

    set: str
    name: str
    wears: bool
    grey: bool | None = None
    male: bool | None = None
    young: bool | None = None
    copy: bool = False


@dataclass(frozen=True)
class FaceTable:
    """A source of faces.

    Attributes:
        faces: the chosen faces.
        rows: their rows in the source, ascending.
        split: whether the source assigns its rows to splits.
    """

    faces: list[ListedFace]
    rows: list[int]
    split: bool
    _source: Any

    def images(self) -> Iterator[tuple[ListedFace, bytes | None]]:
        """The chosen faces with the bytes of their images, one at a time; None for a missing image."""
        return zip(self.faces, self._source(self.rows), strict=True)


def open_face_tables(settings: EvaluateSettings) -> list[FaceTable]:
    """Read the tables, but not the images.

    Raises:
        UserError: a table, a folder or a column is missing, a value is invalid, or no face is left.
        StorageError: the storage failed.
    """
    if settings.images and len(settings.images) != len(settings.faces):
        raise UserError(
            "image-folders-mismatch",
            f"--images: {counted(len(settings.images), 'folder')} for {counted(len(settings.faces), 'table')} of "
            "--faces; give one for "
            "each, or none",
        )
    folders: Sequence[str | None] = settings.images or [None] * len(settings.faces)
    return [
        _open(url, folder, settings, f"--faces {url}")
        for url, folder in zip(settings.faces, folders, strict=True)
    ]


def _open(url: str, folder: str | None, settings: EvaluateSettings, where: str) -> FaceTable:
    parent, name = posixpath.split(url.rstrip("/"))
    stem, extension = posixpath.splitext(name)
    store = open_store(parent if extension in (*_DELIMITERS, ".parquet") else url, option="--faces")
    store.check()
    filesystem, path = store.filesystem()
    if extension in _DELIMITERS:
        try:
            data = store.get(name).data
        except FileNotFoundError:
            raise UserError("table-missing", f"{where}: there is no such table") from None
        return _listed(
            _read_text(data, _DELIMITERS[extension], where), filesystem, path, stem, folder, settings, where
        )
    if extension == ".parquet":
        path = f"{path}/{name}"
        if IMAGE not in _schema(filesystem, path, where):
            with filesystem.open_input_file(path) as file:
                table = pq.read_table(file)
            return _listed(table, filesystem, posixpath.dirname(path), stem, folder, settings, where)
    return _dataset(filesystem, path, stem, settings, where)


def _read_text(data: bytes, delimiter: str, where: str) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in ("file", "split", "set")},
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise UserError("table-malformed", f"{where}: is not a table ({error})") from None


def _schema(filesystem: fs.FileSystem, path: str, where: str) -> list[str]:
    try:
        with filesystem.open_input_file(path) as file:
            return list(pq.read_schema(file).names)
    except FileNotFoundError:
        raise UserError("table-missing", f"{where}: there is no such table") from None
    except pa.ArrowInvalid as error:
        raise UserError("parquet-malformed", f"{where}: is not a Parquet file ({error})") from None


def _listed(
    table: pa.Table,
    filesystem: fs.FileSystem,
    place: str,
    stem: str,
    folder: str | None,
    settings: EvaluateSettings,
    where: str,
) -> FaceTable:
    """The faces of a table whose images are files."""
    table = table.rename_columns([name.lower() for name in table.column_names])
    for name in ("file", "eyeglasses"):
        if name not in table.column_names:
            raise UserError(
                "column-missing", f"{where}: has no column {name}; there are {', '.join(table.column_names)}"
            )
    wears, unknown = label_values(table["eyeglasses"], f"{where}: column eyeglasses")
    split = None
    if "split" in table.column_names:
        split = partition_values(table["split"], f"{where}: column split")
    rows = _chosen(wears, ~unknown, split, settings, where)
    files = table["file"].cast(pa.string()).to_pylist()
    sets = table["set"].cast(pa.string()).to_pylist() if "set" in table.column_names else None

    def known(name: str) -> list[bool | None]:
        if name not in table.column_names:
            return [None] * len(files)
        values, missing = label_values(table[name], f"{where}: column {name}")
        return [None if gone else bool(value) for value, gone in zip(values, missing, strict=True)]

    grey, male, young = known("grey"), known("male"), known("young")
    faces = [
        ListedFace(
            (sets[row] if sets else None) or stem,
            files[row],
            bool(wears[row]),
            grey[row],
            male[row],
            young[row],
        )
        for row in rows
    ]
    if folder is None:
        images = _images_of(filesystem, place, stem, files[rows[0]], where)
    else:
        store = open_store(folder, option="--images")
        store.check()
        filesystem, images = store.filesystem()

    def read(chosen: Sequence[int]) -> Iterator[bytes | None]:
        for row in chosen:
            try:
                with filesystem.open_input_file(f"{images}/{files[row]}") as file:
                    yield file.read()
            except FileNotFoundError:
                yield None

    return FaceTable(faces, rows, split is not None, read)


def _images_of(filesystem: fs.FileSystem, place: str, stem: str, first: str, where: str) -> str:
    """The folder of a table's images: the candidate that holds the first image."""
    candidates = [place, f"{place}/{stem}", f"{place}/{stem}/aligned"]
    for folder in candidates:
        if filesystem.get_file_info(f"{folder}/{first}").is_file:
            return folder
    raise UserError(
        "image-folder-missing",
        f"{where}: {first} is in none of {', '.join(candidates)}; name their folder with --images",
    )


def _dataset(
    filesystem: fs.FileSystem, path: str, stem: str, settings: EvaluateSettings, where: str
) -> FaceTable:
    """The faces of a dataset, whose Parquet parts hold the images."""
    tables = read_tables(filesystem, path, where)
    if "Eyeglasses" not in tables.columns.attributes:
        raise UserError("column-missing", f"{where}: has no column Eyeglasses")
    labels, column = tables.labels, CELEBA.index("Eyeglasses")
    # Our parts have the column also where no row has a partition.
    split = labels.partition if labels.partition is not None and (labels.partition >= 0).any() else None
    wears = labels.attributes[:, column]
    rows = _chosen(wears, ~tables.unknown[:, column], split, settings, where)
    names = labels.image_ids.to_pylist()

    def known(row: int, name: str) -> bool | None:
        index = CELEBA.index(name)
        return None if tables.unknown[row, index] else bool(labels.attributes[row, index])

    faces = [
        ListedFace(stem, names[row], bool(wears[row]), male=known(row, "Male"), young=known(row, "Young"))
        for row in rows
    ]

    def read(chosen: Sequence[int]) -> Iterator[bytes | None]:
        wanted = set(chosen)
        for row, image in enumerate(tables.images()):
            if row in wanted:
                yield image

    return FaceTable(faces, rows, split is not None, read)


def _chosen(
    wears: np.ndarray, known: np.ndarray, split: np.ndarray | None, settings: EvaluateSettings, where: str
) -> list[int]:
    """The rows to measure, ascending: those of the split, and at most the limit of each class, evenly spread."""
    wanted = known
    if split is not None and settings.split != "all":
        wanted = wanted & (split == PARTITIONS.index(settings.split))
    rows: list[int] = []
    for group in (np.flatnonzero(wanted & ~wears), np.flatnonzero(wanted & wears)):
        if settings.limit is not None and len(group) > settings.limit:
            group = group[np.arange(settings.limit) * len(group) // settings.limit]
        rows += group.tolist()
    if not rows:
        raise UserError("faces-missing", f"{where}: has no face with --split {settings.split}")
    return sorted(rows)
