"""Labels, partitions and identities of a dataset's rows, read without the images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from attgan.attributes import CELEBA, check_names
from attgan.data.shards import Dataset, attribute_matrix
from attgan.errors import UserError

_CONNECTIONS = 8


@dataclass(frozen=True)
class Rows:
    """The rows of a dataset, numbered over all its parts from 0.

    Attributes:
        labels: ``(n, a)`` bool, a column for each requested attribute; False where it is unknown.
        unknown: ``(n, a)`` bool, where a label is unknown.
        partition: ``(n,)`` int8, 0 train, 1 valid, 2 test; -1 where there is none.
        identity: ``(n,)`` int32, or None where the dataset has none.
        starts: ``(parts + 1,)`` int64: part i holds the rows from ``starts[i]`` up to ``starts[i + 1]``.
    """

    labels: np.ndarray
    unknown: np.ndarray
    partition: np.ndarray
    identity: np.ndarray | None
    starts: np.ndarray

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        """``(m,)`` int64: the part that holds each of the rows ``(m,)``."""
        return np.searchsorted(self.starts, rows, side="right") - 1


def read_rows(dataset: Dataset, attributes: Sequence[str], required: Sequence[str] | None = None) -> Rows:
    """Read labels, partition and identity of all rows.

    Args:
        dataset: whose rows.
        attributes: names of the columns wanted.
        required: the attributes that must be known for every row; None: all.

    Raises:
        UserError: there is no such attribute, one that is required is unknown for some rows, or a part is missing or
            truncated.
    """
    check_names(attributes, CELEBA, "attributes")
    columns = [*attributes, "partition", *(["identity"] if dataset.manifest.identity else [])]
    with ThreadPoolExecutor(_CONNECTIONS, "labels") as pool:
        parts = range(len(dataset.manifest.parts))
        tables = list(pool.map(lambda part: dataset.read_columns(part, columns), parts))
    counts = [table.num_rows for table in tables]
    table = pa.concat_tables(tables)
    for name in attributes if required is None else required:
        unknown = table.column(name).null_count
        if unknown:
            raise UserError(
                "attribute-unlabelled",
                f"attribute {name}: is unknown for {unknown:,} of the {table.num_rows:,} rows of {dataset.folder}; "
                "nothing can be trained on it",
            )
    return Rows(
        attribute_matrix(_filled(table, attributes), attributes),
        np.column_stack([table.column(name).is_null().to_numpy() for name in attributes]),
        table.column("partition").fill_null(-1).to_numpy(),
        table.column("identity").to_numpy() if dataset.manifest.identity else None,
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
    )


def _filled(table: pa.Table, attributes: Sequence[str]) -> pa.Table:
    for name in attributes:
        column = table.column_names.index(name)
        table = table.set_column(column, name, table.column(name).fill_null(False))
    return table
