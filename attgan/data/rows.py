"""What a dataset says about its rows, read without their images."""

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
        labels: ``(n, a)`` bool, a column for each attribute that was asked for.
        partition: ``(n,)`` int8, 0 train, 1 valid, 2 test; -1 where there is none.
        identity: ``(n,)`` int32, or None where the dataset has none.
        starts: ``(parts + 1,)`` int64: part i holds the rows from ``starts[i]`` up to ``starts[i + 1]``.
    """

    labels: np.ndarray
    partition: np.ndarray
    identity: np.ndarray | None
    starts: np.ndarray

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        """``(m,)`` int64: the part that holds each of the rows ``(m,)``."""
        return np.searchsorted(self.starts, rows, side="right") - 1


def read_rows(dataset: Dataset, attributes: Sequence[str]) -> Rows:
    """Read labels, partition and identity of all rows.

    Raises:
        UserError: there is no such attribute, it is unknown for some rows, or a part is missing or truncated.
    """
    check_names(attributes, CELEBA, "attributes")
    columns = [*attributes, "partition", *(["identity"] if dataset.manifest.identity else [])]
    with ThreadPoolExecutor(_CONNECTIONS, "labels") as pool:
        parts = range(len(dataset.manifest.parts))
        tables = list(pool.map(lambda part: dataset.read_columns(part, columns), parts))
    counts = [table.num_rows for table in tables]
    table = pa.concat_tables(tables)
    for name in attributes:
        unknown = table.column(name).null_count
        if unknown:
            raise UserError(
                f"attribute {name}: is unknown for {unknown:,} of the {table.num_rows:,} rows of {dataset.folder}; "
                "nothing can be trained on it"
            )
    return Rows(
        attribute_matrix(table, attributes),
        table.column("partition").fill_null(-1).to_numpy(),
        table.column("identity").to_numpy() if dataset.manifest.identity else None,
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
    )
