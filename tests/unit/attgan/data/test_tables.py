"""Tables of others, understood: every usual way of writing labels, and a line for what is none."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.tables import Tables, find_columns, read_tables
from tests.support.data.foreign_tables import write_table
from tests.support.refusals import refused

GLASSES = CELEBA.index("Eyeglasses")
LOCAL = fs.LocalFileSystem()


def read(path: Path, **options: object) -> Tables:
    return read_tables(LOCAL, str(path), "--source there", **options)


def labels_of(folder: Path, values: object) -> tuple[list[bool], list[bool]]:
    """Values and unknown of a column of labels."""
    count = len(values)  # type: ignore[arg-type]
    tables = read(write_table(folder / "t.parquet", {"image": [b"x"] * count, "Eyeglasses": values}))  # type: ignore[dict-item]
    return tables.labels.attributes[:, GLASSES].tolist(), tables.unknown[:, GLASSES].tolist()


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ([True, False, None], [1, 0, None]),
        ([1, 0, None, 1], [1, 0, None, 1]),
        ([1, -1, None], [1, 0, None]),
        ([0.0, 1.0, float("nan")], [0, 1, None]),
        (pa.array([1, 0], pa.uint8()), [1, 0]),
    ],
)
def test_labels_in_all_usual_ways(tmp_path: Path, values: object, meant: list[int | None]) -> None:
    attributes, unknown = labels_of(tmp_path, values)
    assert [None if u else int(a) for a, u in zip(attributes, unknown, strict=True)] == meant


@pytest.mark.parametrize("values", [[1, 0, -1], ["yes"]])
def test_what_is_no_label_is_refused(tmp_path: Path, values: list[object]) -> None:
    with refused("label-value-invalid", "--source there", "Eyeglasses"):
        labels_of(tmp_path, values)


def test_partitions_as_numbers_or_words(tmp_path: Path) -> None:
    def partition(values: object, name: str = "split") -> list[int]:
        columns = {"image": [b"x"] * len(values), "Bald": [True] * len(values), name: values}  # type: ignore[arg-type]
        labels = read(write_table(tmp_path / "t.parquet", columns)).labels  # type: ignore[arg-type]
        assert labels.partition is not None
        return labels.partition.tolist()

    assert partition(["train", "valid", "val", "Validation", "test", None]) == [0, 1, 1, 1, 2, -1]
    assert partition([0, 1, 2], "partition") == [0, 1, 2]
    assert partition(pa.array(["train", "test", "train"]).dictionary_encode()) == [0, 2, 0]
    with refused("partition-unknown", "--partition-column split"):
        partition(["train", "holdout"])


def test_identities_as_numbers_or_names(tmp_path: Path) -> None:
    def identity(values: list[object]) -> list[int]:
        columns = {"image": [b"x"] * len(values), "Bald": [True] * len(values), "who": values}
        labels = read(write_table(tmp_path / "t.parquet", columns), identity="who").labels
        assert labels.identity is not None
        assert labels.identity.dtype == np.int32
        return labels.identity.tolist()

    assert identity([7, 3, 7]) == [7, 3, 7]
    assert identity(["b", "a", "b"]) == [1, 0, 1]
    assert len(set(identity([2**40, 2**40 + 1]))) == 2
    with refused("column-has-nulls", "--identity-column who", "1"):
        identity([1, None])


def test_names_are_each_images_own(tmp_path: Path) -> None:
    columns = {"image": [b"x"] * 3, "Bald": [True] * 3, "image_id": ["a", "b", "c"], "file": ["a", "b", "a"]}
    path = write_table(tmp_path / "faces.parquet", columns)
    assert read(path).labels.image_ids.to_pylist() == ["a", "b", "c"]
    with refused("image-id-repeated", "--id-column file"):
        read(path, image_id="file")
    del columns["image_id"]
    numbered = read(write_table(path, columns)).labels.image_ids.to_pylist()
    assert numbered == ["faces-0000000", "faces-0000001", "faces-0000002"]


def test_columns_are_told_by_name() -> None:
    names = ["Image", "picture", "Eyeglasses", "glasses", "hat", "split", "id", "Young"]
    columns = find_columns(names, image="picture", image_id="id", rename={"hat": "Wearing_Hat"})
    assert columns.attributes == {"Eyeglasses": "Eyeglasses", "Wearing_Hat": "hat", "Young": "Young"}
    assert (columns.image_id, columns.partition, columns.identity) == ("id", "split", None)
    assert columns.ignored == ("Image", "glasses")


@pytest.mark.parametrize(
    ("names", "options", "rule"),
    [
        (["picture", "Bald"], {}, ("column-missing", "--image-column")),
        (["image", "bald"], {}, ("attribute-columns-missing", "--rename")),
        (["image", "b"], {"rename": {"b": "Bold"}}, ("attribute-unknown", "--rename")),
        (["image", "b"], {"rename": {"c": "Bald"}}, ("column-missing", "--rename")),
        (["image", "b", "c"], {"rename": {"b": "Bald", "c": "Bald"}}, ("column-repeated", "--rename")),
    ],
)
def test_columns_that_cannot_be_told_are_refused(
    names: list[str], options: dict[str, str], rule: tuple[str, ...]
) -> None:
    with refused(*rule):
        find_columns(names, **options)  # type: ignore[arg-type]


@given(
    files=st.lists(st.integers(0, 11), min_size=1, max_size=3).filter(any),
    row_group=st.integers(1, 6),
    data=st.data(),
)
def test_images_from_any_row_on(
    tmp_path_factory: pytest.TempPathFactory, files: list[int], row_group: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    expected: list[bytes | None] = []
    for index, rows in enumerate(files):
        images = [None if row % 5 == 4 else f"{index}-{row}".encode() for row in range(rows)]
        column = pa.array([None if i is None else {"bytes": i, "path": None} for i in images], _STRUCT)
        labels = pa.array([True] * rows, pa.bool_())
        write_table(folder / f"{index}.parquet", {"image": column, "Bald": labels}, row_group)
        expected += images
    tables = read(folder)
    start = data.draw(st.integers(0, len(expected)))
    assert list(tables.images(start)) == expected[start:]


_STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def test_what_is_no_table_of_images_is_refused(tmp_path: Path) -> None:
    with refused("parquet-missing", "--source there"):
        read(tmp_path)
    with refused("parquet-missing", "--source there"):
        read(tmp_path / "none.parquet")
    (tmp_path / "a.parquet").write_bytes(b"something else")
    with refused("parquet-malformed", "--source there", "a.parquet"):
        read(tmp_path)
    write_table(tmp_path / "a.parquet", {"image": ["words"], "Bald": [True]})
    with refused("image-column-type", "--image-column image"):
        read(tmp_path)
    write_table(
        tmp_path / "a.parquet", {"image": pa.array([], pa.binary()), "Bald": pa.array([], pa.bool_())}
    )
    with refused("source-without-rows"):
        read(tmp_path)
    write_table(tmp_path / "a.parquet", {"image": [b"x"], "Bald": [True]})
    write_table(tmp_path / "b.parquet", {"image": [b"x"], "Young": [True]})
    with refused("table-columns-differ", "b.parquet", "a.parquet"):
        read(tmp_path)
