"""Reads Parquet files in the caller's thread, and some of their columns with few reads.

``pyarrow.parquet.read_table`` reads in Arrow's own threads. They may release a Python file, or a buffer over Python's
bytes, only after the read has returned. If the interpreter is about to end by then, the process aborts although its
work is done. That happened four times in ten where a part was the last thing that a process read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Bytes at the end of a file that are read first: they hold the footer of most files.
_TAIL = 64 * 2**10
# Columns that are nearer to each other than this are read together, in bytes.
_GAP = 256 * 2**10
# Bytes behind the footer: its length, and the magic bytes.
_AFTER_FOOTER = 8


def read_table(source: pa.NativeFile, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of an opened file, or of a :class:`pyarrow.BufferReader`.

    Raises:
        pyarrow.ArrowInvalid: it is not a Parquet file.
    """
    with pq.ParquetFile(source, pre_buffer=False) as parquet:
        return parquet.read(columns=None if columns is None else list(columns), use_threads=False)


def read_columns(file: pa.NativeFile, names: Sequence[str]) -> pa.Table:
    """Some columns of an opened file: one read for the footer and one or a few for each row group.

    Raises:
        pyarrow.ArrowInvalid: it is not a Parquet file.
    """
    size = file.size()
    # The system provides memory only for the pages that are written.
    content = np.zeros(size, dtype=np.uint8)

    def fill(start: int, end: int) -> None:
        file.seek(start)
        data = np.frombuffer(file.read(end - start), dtype=np.uint8)
        content[start : start + len(data)] = data

    tail = max(0, size - _TAIL)
    fill(tail, size)
    length = int.from_bytes(content[-_AFTER_FOOTER:-4].tobytes(), "little") + _AFTER_FOOTER
    if size - length < tail:
        fill(max(0, size - length), tail)
    metadata = pq.read_metadata(pa.BufferReader(pa.py_buffer(content)))
    for start, end in _ranges(metadata, frozenset(names)):
        fill(start, end)
    return read_table(pa.BufferReader(pa.py_buffer(content)), names)


def _ranges(metadata: pq.FileMetaData, names: frozenset[str]) -> list[tuple[int, int]]:
    """The byte ranges of the columns, ascending; ranges that are near each other are joined."""
    found: list[tuple[int, int]] = []
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if column.path_in_schema.split(".")[0] in names:
                start = column.dictionary_page_offset or column.data_page_offset
                found.append((start, start + column.total_compressed_size))
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
