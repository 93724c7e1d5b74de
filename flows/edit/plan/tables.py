"""The tables that say something about single images of a source: their labels, and styles of glasses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from attgan.attributes import CELEBA
from attgan.data import celeba
from attgan.editing.styles import check_styles
from attgan.errors import UserError
from flows.storage import open_store


class SourceLabels(NamedTuple):
    """Labels of source images by file name, ``(n,)`` float32 each, and a digest of them all."""

    by_name: dict[str, np.ndarray]
    digest: str | None


class Styles(NamedTuple):
    """Styles of glasses for single keys, and a digest of them and of the default style.

    The digest is None if the bundle has no styles.
    """

    by_key: Mapping[str, list[str]]
    digest: str | None


def read_source_labels(url: str | None, attributes: list[str]) -> SourceLabels:
    """Read the labels in the order of the bundle's ``attributes``; attributes that CelebA lacks are NaN."""
    if url is None:
        return SourceLabels({}, None)
    store = open_store(url, option="--labels")
    store.check()
    labels = celeba.read_labels(*store.filesystem(), where=f"--labels {store.url}")
    matrix = np.full((len(labels), len(attributes)), np.nan, dtype=np.float32)
    for i, name in enumerate(attributes):
        if name in CELEBA:
            matrix[:, i] = labels.attributes[:, CELEBA.index(name)]
    names = labels.image_ids.to_pylist()
    digest = hashlib.sha256("\n".join(names).encode() + matrix.tobytes()).hexdigest()[:16]
    return SourceLabels(dict(zip(names, matrix, strict=True)), digest)


def read_styles(style: Sequence[str], style_from: str | None, known: Sequence[str]) -> Styles:
    """Read the table of styles for single images, and compute a digest of everything that decides the style.

    Args:
        style: the default style.
        style_from: URL of the table; None without one.
        known: the bundle's styles.

    Raises:
        UserError: a style that the bundle does not know, or a malformed table.
    """
    check_styles(style, known, f"--style {','.join(style)}")
    if style_from is None:
        return Styles({}, ",".join(style) if known else None)
    where = f"--style-from {style_from}"
    folder, _, name = style_from.rpartition("/")
    try:
        data = open_store(folder or "/", option="--style-from").get(name).data
        source = pa.BufferReader(data)
        table = pq.read_table(source) if name.endswith(".parquet") else csv.read_csv(source)
        rows = table.select(["key", "style"]).cast(pa.schema([("key", pa.string()), ("style", pa.string())]))
    except FileNotFoundError:
        raise UserError("file-missing", f"{where}: there is no such file") from None
    except (pa.ArrowInvalid, KeyError):
        raise UserError(
            "style-table-malformed", f"{where}: must be a CSV or Parquet table with the columns key and style"
        ) from None
    by_key = {}
    for row in rows.to_pylist():
        chosen = [style.strip() for style in (row["style"] or "").split(",")]
        check_styles(chosen, known, f"{where}, key {row['key']}")
        by_key[row["key"]] = chosen
    return Styles(by_key, f"{','.join(style)} {hashlib.sha256(data).hexdigest()[:16]}")
