"""Converts the usual ways of writing labels, partitions, identities and names.

Each function takes a whole column. If it holds anything else, it raises :class:`attgan.errors.UserError`, whose line
begins with ``where``.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attgan.data.celeba import PARTITIONS
from attgan.errors import UserError

_PARTITION_NAMES = {**{name: i for i, name in enumerate(PARTITIONS)}, "val": 1, "validation": 1, "dev": 1}


def label_values(column: pa.ChunkedArray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels, and which of them are unknown: both ``(N,)`` bool."""
    unknown = column.is_null().to_numpy()
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=bool), unknown
    rule = "labels are true and false, 0 and 1, or -1 and 1"
    if not (pa.types.is_boolean(column.type) or _is_number(column.type)):
        raise UserError("label-value-invalid", f"{where}: is of type {column.type}; {rule}")
    values = (
        column.cast(pa.float64()).to_numpy()
        if _is_number(column.type)
        else column.fill_null(False).to_numpy()
    )
    unknown = unknown | np.isnan(values)
    found = set(np.unique(values[~unknown]).tolist())
    if not (found <= {0, 1} or found <= {-1, 1}):
        raise UserError(
            "label-value-invalid",
            f"{where}: holds {', '.join(f'{value:g}' for value in sorted(found)[:4])}; {rule}",
        )
    return np.where(unknown, 0, values) > 0, unknown


def partition_values(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """Partitions ``(N,)`` int8, an index into :data:`attgan.data.celeba.PARTITIONS`; -1 for null."""
    numbers = np.full(len(column), -1, dtype=np.int8)
    for value in column.unique().to_pylist():
        if value is None:
            continue
        name = str(value).strip().lower()
        number = int(name) if name in ("0", "1", "2") else _PARTITION_NAMES.get(name)
        if number is None:
            known = ", ".join([*PARTITIONS, "val", "validation"])
            raise UserError("partition-unknown", f"{where}: {value!r} is none of {known}, 0, 1 and 2")
        numbers[pc.equal(column, value).fill_null(False).to_numpy()] = number
    return numbers


def identity_values(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """Identities ``(N,)`` int32: the numbers as they are, or the names' ranks."""
    if column.null_count:
        raise UserError(
            "column-has-nulls",
            f"{where}: is null for {column.null_count:,} rows; it must be known for all or left out",
        )
    if pa.types.is_integer(column.type):
        values = column.to_numpy()
        if values.min() >= -(2**31) and values.max() < 2**31:
            return values.astype(np.int32)
    names = np.asarray(column.cast(pa.string()).to_pylist(), dtype=object)
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def id_values(column: pa.ChunkedArray, where: str) -> pa.StringArray:
    """The images' names ``(N,)``, each once."""
    if column.null_count:
        raise UserError(
            "column-has-nulls", f"{where}: is null for {column.null_count:,} rows; every image has a name"
        )
    ids = pa.array(column.cast(pa.string()).to_pylist(), pa.string())
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        raise UserError(
            "image-id-repeated",
            f"{where}: {twice[0].as_py()!r} is in more than one row; each image needs a name of its own",
        )
    return ids


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
