import io
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.manifest import Counts, Manifest, PartEntry, Unreadable, part_name, to_bytes
from attgan.data.shards import PartNote, attribute_matrix, entry, open_dataset, read_part, write_part
from attgan.data.stored import StoredImage, storage
from attgan.data.subsets import parse_subset
from tests.support.refusals import refused

NOTE = PartNote("f" * 64, 0, 170, (Unreadable(image_id="000404.jpg", reason="decode: broken"),))


def make_rows(
    count: int, seed: int = 0, partition: bool = True, identity: bool = True
) -> tuple[Labels, list[StoredImage]]:
    rng = np.random.default_rng(seed)
    labels = Labels(
        pa.array([f"{seed}{i:05d}.jpg" for i in range(count)]),
        rng.random((count, 40)) < 0.3,
        rng.integers(0, 3, count).astype(np.int8) if partition else None,
        rng.integers(1, 10_178, count).astype(np.int32) if identity else None,
    )
    images = [StoredImage(rng.bytes(rng.integers(1, 900)), 178, 218, 170) for _ in range(count)]
    return labels, images


def test_a_part_is_read_back_as_written() -> None:
    # More than one row group.
    labels, images = make_rows(1203)
    table, note = read_part(write_part(labels, images, NOTE), "there")
    assert note == NOTE
    assert table.column_names == ["image_id", "image", "width", "height", *CELEBA, "partition", "identity"]
    assert table.column("image_id").to_pylist() == labels.image_ids.to_pylist()
    assert table.column("image").to_pylist() == [image.data for image in images]
    np.testing.assert_array_equal(attribute_matrix(table), labels.attributes)
    assert table.column("partition").to_pylist() == labels.partition.tolist()  # type: ignore[union-attr]
    assert table.column("identity").to_pylist() == labels.identity.tolist()  # type: ignore[union-attr]
    assert set(table.column("width").to_pylist()) == {178}
    assert set(table.column("height").to_pylist()) == {218}


def test_the_same_rows_give_the_same_bytes() -> None:
    assert write_part(*make_rows(50), NOTE) == write_part(*make_rows(50), NOTE)


def test_pandas_and_duckdb_read_it(tmp_path: Path) -> None:
    labels, images = make_rows(40)
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(write_part(labels, images, NOTE))
    glasses = labels.attributes[:, CELEBA.index("Eyeglasses")]
    frame = pd.read_parquet(path)
    np.testing.assert_array_equal(frame["Eyeglasses"], glasses)
    assert frame["image"].tolist() == [image.data for image in images]
    query = f"select count(*), sum(octet_length(image)) from '{path}' where \"Eyeglasses\""
    expected = sum(len(image.data) for image, yes in zip(images, glasses, strict=True) if yes)
    assert duckdb.sql(query).fetchall() == [(glasses.sum(), expected)]


def foreign_parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image_id": ["a"]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "rule"),
    [(write_part(*make_rows(5), NOTE)[:-30], ("parquet-malformed",)), (foreign_parquet(), ("part-invalid",))],
)
def test_what_is_no_part_of_ours_is_refused(data: bytes, rule: tuple[str, ...]) -> None:
    with refused(*rule):
        read_part(data, "there")


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A folder with a finished dataset of two parts, 5 and 4 rows."""
    entries: list[PartEntry] = []
    for index, rows in enumerate((5, 4)):
        data = write_part(*make_rows(rows, seed=index), NOTE)
        (tmp_path / part_name(index)).write_bytes(data)
        entries.append(entry(part_name(index), data, rows))
    counts = Counts(labelled=9, eligible=9, at_hand=9, not_at_hand=0, chosen=9, unreadable=0, rows=9)
    manifest = Manifest(
        plan=NOTE.plan,
        subset=parse_subset("all"),
        seed=0,
        counts=counts,
        images=storage("original", 170),
        identity=True,
        attributes=(),
        unreadable=(),
        parts=tuple(entries),
    )
    (tmp_path / "manifest.json").write_bytes(to_bytes(manifest))
    return tmp_path


def test_a_data_set_gives_its_parts(data_set: Path) -> None:
    data = open_dataset(fs.LocalFileSystem(), str(data_set))
    names = [name for i in range(2) for name in data.read(i).column("image_id").to_pylist()]
    assert names == [
        *make_rows(5, seed=0)[0].image_ids.to_pylist(),
        *make_rows(4, seed=1)[0].image_ids.to_pylist(),
    ]


def test_a_changed_part_is_refused(data_set: Path) -> None:
    data = open_dataset(fs.LocalFileSystem(), str(data_set))
    path = data_set / "part-00001.parquet"
    whole = path.read_bytes()
    position = len(whole) // 2
    path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    assert data.read(0).num_rows == 5
    with refused("dataset-damaged", "part-00001.parquet"):
        data.read(1)
    path.write_bytes(whole[:-1])
    with refused("dataset-damaged", "part-00001.parquet"):
        data.read(1)
    path.unlink()
    with refused("dataset-damaged", "part-00001.parquet"):
        data.read(1)
