"""Parquet tables as others make them, made on the spot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.images.pictures import noise, saved


def pictures(count: int, size: int = 128, first: int = 0) -> list[bytes]:
    """Square pictures, each another one."""
    return [saved(noise(number, size, size), quality=80) for number in range(first, first + count)]


def write_table(path: Path, columns: Mapping[str, Sequence[object] | pa.Array], row_group: int = 4) -> Path:
    """One file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, row_group_size=row_group)
    return path
