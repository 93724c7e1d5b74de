"""Columns are read with few reads, and none of them in a thread of Arrow's."""

import io
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attgan.data.column_reader import read_columns, read_table


def written(table: pa.Table, row_group: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=row_group, **options)
    return buffer.getvalue()


def wide_table(rows: int) -> pa.Table:
    rng = np.random.default_rng(rows)
    columns: dict[str, object] = {"image": [rng.bytes(1500) for _ in range(rows)]}
    columns |= {f"a{i}": rng.random(rows) < 0.5 for i in range(40)}
    return pa.table(columns | {"word": [str(row % 3) for row in range(rows)]})


@given(
    rows=st.integers(0, 90),
    row_group=st.integers(1, 40),
    names=st.lists(st.sampled_from(["image", "a0", "a7", "a39", "word"]), min_size=1, unique=True),
    dictionary=st.booleans(),
)
def test_they_are_the_files_columns(rows: int, row_group: int, names: list[str], dictionary: bool) -> None:
    table = wide_table(rows)
    data = written(table, row_group, use_dictionary=dictionary, compression="zstd")
    assert read_columns(pa.PythonFile(io.BytesIO(data), mode="r"), names).equals(table.select(names))


@pytest.mark.parametrize("data", [b"", written(wide_table(5), 5)[:-9]])
def test_what_is_no_parquet_file_is_said(data: bytes) -> None:
    with pytest.raises(pa.ArrowInvalid):
        read_columns(pa.PythonFile(io.BytesIO(data), mode="r"), ["a0"])


def test_nothing_is_held_once_a_read_has_returned() -> None:
    """What Arrow's threads still held at the interpreter's end would abort the process."""
    data = written(wide_table(300), 100)
    before = sys.getrefcount(data)
    for _ in range(100):
        read_table(pa.BufferReader(data))
        assert sys.getrefcount(data) == before
