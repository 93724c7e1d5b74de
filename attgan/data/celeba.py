"""CelebA's label files: the attributes, partition and identity of each image.

The files are ``list_attr_celeba``, ``list_eval_partition`` and ``identity_CelebA``. They may be ``.txt`` (columns
separated by spaces; the attribute file begins with the number of rows and the attributes' names) or ``.csv`` (with a
header, the form in which the set is often mirrored), plain or compressed with xz, gzip or zip. The compression is
recognised by content. All 202,599 rows of the three files, compressed with xz, take 0.7 s.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, fs

from attgan.attributes import CELEBA
from attgan.errors import UserError

ATTRIBUTES_FILE = "list_attr_celeba"
PARTITION_FILE = "list_eval_partition"
IDENTITY_FILE = "identity_CelebA"
# In the order of the numbers 0, 1, 2 of the partition file.
PARTITIONS = ("train", "valid", "test")

_ENDINGS = tuple(form + packing for form in (".txt", ".csv") for packing in ("", ".xz", ".gz", ".zip"))
_UNPACKING_ERRORS = (lzma.LZMAError, zlib.error, zipfile.BadZipFile, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True)
class Labels:
    """The content of the label files, a row for each image.

    Attributes:
        image_ids: ``(N,)`` strings, the image files' names, in the attribute file's order, each once.
        attributes: ``(N, 40)`` bool, columns in the order of :data:`attgan.attributes.CELEBA`.
        partition: ``(N,)`` int8, an index into :data:`PARTITIONS`; None without a partition file.
        identity: ``(N,)`` int32, the person's number; None without an identity file.
    """

    image_ids: pa.StringArray
    attributes: np.ndarray
    partition: np.ndarray | None = None
    identity: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def take(self, rows: np.ndarray) -> Labels:
        """The given rows ``(n,)``, in the given order."""
        return Labels(
            self.image_ids.take(pa.array(rows)),
            self.attributes[rows],
            None if self.partition is None else self.partition[rows],
            None if self.identity is None else self.identity[rows],
        )


def read_labels(filesystem: fs.FileSystem, folder: str, where: str | None = None) -> Labels:
    """Read the label files of ``folder``. Partition and identity may be missing.

    Args:
        filesystem: where the folder is.
        folder: its path there.
        where: what errors call the folder, such as ``--source s3://…``; the path by default.

    Raises:
        UserError: there is no attribute file, a file is not in CelebA's format (with file and line), or the files do
            not list the same images.
    """
    where = where or folder or "."
    files = _find(filesystem, folder)
    if ATTRIBUTES_FILE not in files:
        raise UserError(
            "label-file-missing",
            f"{where}: no label file; CelebA's layout has {ATTRIBUTES_FILE}.txt beside its images "
            "(or .csv; plain, .xz, .gz or .zip)",
        )
    shown = {name: f"{where.rstrip('/')}/{path.rsplit('/', 1)[-1]}" for name, path in files.items()}
    texts = {name: _read(filesystem, path, shown[name]) for name, path in files.items()}
    image_ids, matrix = _read_attributes(texts[ATTRIBUTES_FILE], shown[ATTRIBUTES_FILE])
    numbers = {}
    for name in (PARTITION_FILE, IDENTITY_FILE):
        if name in files:
            other_ids, values = _read_numbers(texts[name], shown[name], name)
            numbers[name] = values[_match(image_ids, other_ids, shown[ATTRIBUTES_FILE], shown[name])]
    partition, identity = numbers.get(PARTITION_FILE), numbers.get(IDENTITY_FILE)
    return Labels(image_ids, matrix, None if partition is None else partition.astype(np.int8), identity)


def _find(filesystem: fs.FileSystem, folder: str) -> dict[str, str]:
    """The path of each label file that exists: the first of its forms, in the order of ``_ENDINGS``."""
    names = (ATTRIBUTES_FILE, PARTITION_FILE, IDENTITY_FILE)
    stem = f"{folder.rstrip('/')}/" if folder else ""
    infos = filesystem.get_file_info([stem + name + ending for name in names for ending in _ENDINGS])
    there = [info.path for info in infos if info.is_file]
    found = {}
    for path in reversed(there):
        found[path[len(stem) :].split(".")[0]] = path
    return found


def _read(filesystem: fs.FileSystem, path: str, shown: str) -> bytes:
    with filesystem.open_input_stream(path, compression=None) as stream:
        data: bytes = stream.read()
    try:
        return _unpack(data)
    except _UNPACKING_ERRORS as error:
        raise UserError("label-file-unreadable", f"{shown}: cannot be unpacked ({error})") from error


def _unpack(data: bytes) -> bytes:
    if data.startswith(b"\xfd7zXZ\x00"):
        return lzma.decompress(data)
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) != 1:
                raise zipfile.BadZipFile(f"holds {len(members)} files, not one")
            return archive.read(members[0])
    return data


def _read_attributes(data: bytes, path: str) -> tuple[pa.StringArray, np.ndarray]:
    """Ids ``(N,)`` and the attributes ``(N, 40)`` bool of an attribute file."""
    delimiter, first, body = _form(data, path)
    count: int | None = None
    if delimiter == " ":
        line, _, body = body.partition(b"\n")
        if not line.strip().isdigit():
            raise UserError(
                "label-file-malformed", f"{path}, line {first}: {_quote(line)} is not the number of rows"
            )
        count, first = int(line), first + 1
    header, _, body = body.partition(b"\n")
    names = [name.strip() for name in header.decode("utf-8", "replace").strip().split(delimiter)]
    if delimiter == ",":
        # The first is the header of the column of image names.
        names = names[1:]
    _check_names(names, f"{path}, line {first}")

    table = _parse(body, path, ("image_id", *names), delimiter, first + 1, pa.int8(), (-1, 0, 1))
    image_ids = _unique(table.column(0), path)
    if count is not None and count != len(image_ids):
        raise UserError(
            "label-count-wrong", f"{path}, line 1: says {count:,} rows, the file has {len(image_ids):,}"
        )
    # (N, 40) int8
    values = np.column_stack([table.column(name).to_numpy() for name in CELEBA])
    allowed = (-1, 1) if (values == -1).any() else (0, 1)
    if not np.isin(values, allowed).all():
        raise _first_fault(body, path, ("image_id", *names), delimiter, first + 1, allowed)
    return image_ids, values > 0


def _read_numbers(data: bytes, path: str, name: str) -> tuple[pa.StringArray, np.ndarray]:
    """Ids ``(N,)`` and numbers ``(N,)`` int32 of a partition or identity file."""
    delimiter, first, body = _form(data, path)
    if delimiter == ",":
        body, first = body.partition(b"\n")[2], first + 1
    columns = ("image_id", "partition" if name == PARTITION_FILE else "identity")
    allowed = range(len(PARTITIONS)) if name == PARTITION_FILE else None
    table = _parse(body, path, columns, delimiter, first, pa.int32(), allowed)
    values = table.column(1).to_numpy()
    if allowed is not None and not np.isin(values, allowed).all():
        raise _first_fault(body, path, columns, delimiter, first, allowed)
    return _unique(table.column(0), path), values


def _form(data: bytes, path: str) -> tuple[str, int, bytes]:
    """Delimiter, number of the first line that is not blank, and the text from there, with single spaces."""
    text = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    if ".csv" in path.rsplit("/", 1)[-1]:
        delimiter = ","
    else:
        delimiter = " "
        text = text.replace(b"\t", b" ")
        while b"  " in text:
            text = text.replace(b"  ", b" ")
        text = text.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" ")
    blank = re.match(rb"\n*", text)
    skipped = blank.end() if blank else 0
    return delimiter, 1 + skipped, text[skipped:]


def _check_names(names: Sequence[str], where: str) -> None:
    unknown = [name for name in names if name not in CELEBA]
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in CELEBA if name not in names]
    if unknown or twice or missing:
        faults = (("unknown", unknown), ("twice", twice), ("missing", missing))
        details = "; ".join(f"{label}: {_few(found)}" for label, found in faults if found)
        raise UserError(
            "label-header-wrong",
            f"{where}: {len(names)} attribute names, CelebA has {len(CELEBA)} ({details})",
        )


def _parse(
    body: bytes,
    path: str,
    columns: tuple[str, ...],
    delimiter: str,
    first: int,
    number: pa.DataType,
    allowed: Collection[int] | None,
) -> pa.Table:
    """A table of one string column and numbers; ``first`` is the body's first line's number in the file."""
    if not body.strip():
        raise UserError("source-without-rows", f"{path}: has no rows")
    types = dict.fromkeys(columns[1:], number) | {columns[0]: pa.string()}
    try:
        return csv.read_csv(
            pa.BufferReader(body),
            csv.ReadOptions(column_names=columns),
            csv.ParseOptions(delimiter=delimiter, quote_char=False),
            csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid as error:
        fault = _first_fault(body, path, columns, delimiter, first, allowed)
        raise fault from error


def _first_fault(
    body: bytes,
    path: str,
    columns: tuple[str, ...],
    delimiter: str,
    first: int,
    allowed: Collection[int] | None,
) -> UserError:
    """An error that describes the first bad line. Slow, so called only once it is known that there is one."""
    for number, line in enumerate(body.split(b"\n"), start=first):
        if not line:
            continue
        values = line.decode("utf-8", "replace").split(delimiter)
        where = f"{path}, line {number}"
        if len(values) != len(columns):
            return UserError(
                "label-file-malformed",
                f"{where}: {len(values)} columns, there must be {len(columns)} ({_quote(line)})",
            )
        for column, value in zip(columns[1:], values[1:], strict=True):
            if not re.fullmatch(r"-?\d{1,9}", value) or (allowed is not None and int(value) not in allowed):
                rule = "a whole number" if allowed is None else f"one of {', '.join(map(str, allowed))}"
                return UserError("label-value-invalid", f"{where}: {column} is {value!r}, it must be {rule}")
    return UserError("label-file-malformed", f"{path}: is not a text file of {len(columns)} columns")


def _unique(column: pa.ChunkedArray, path: str) -> pa.StringArray:
    ids = column.combine_chunks()
    # What combine_chunks returns differs between pyarrow's versions.
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks)
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
        raise UserError(
            "image-id-repeated", f"{path}: more than one row for {_few(twice)}; each image has one"
        )
    return ids


def _match(ids: pa.StringArray, other: pa.StringArray, path: str, other_path: str) -> np.ndarray:
    """The rows of ``other`` in the order of ``ids``."""
    if ids.equals(other):
        return np.arange(len(ids))
    rows = pc.index_in(ids, value_set=other)
    absent = ids.filter(pc.is_null(rows)).to_pylist()
    extra = other.filter(pc.invert(pc.is_in(other, value_set=ids))).to_pylist()
    for missing, lacking, having in ((absent, other_path, path), (extra, path, other_path)):
        if missing:
            raise UserError(
                "label-files-differ",
                f"{lacking}: has no row for {_few(missing)}, which {having} has; they must match",
            )
    return rows.to_numpy()


def _few(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _quote(line: bytes, most: int = 40) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= most else text[:most] + "…")
