import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels, read_labels
from attgan.errors import UserError

IDS = ["000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg", "000005.jpg"]
VALUES = np.random.default_rng(0).random((5, 40)) < 0.4


def attribute_text(
    ids: list[str] = IDS,
    values: np.ndarray = VALUES,
    names: tuple[str, ...] = CELEBA,
    count: int | None = None,
) -> str:
    """As CelebA writes it: the count, the names with a space at the end, values aligned with double spaces."""
    lines = [str(len(ids) if count is None else count), " ".join(names) + " "]
    lines += [i + "".join("  1" if v else " -1" for v in row) for i, row in zip(ids, values, strict=True)]
    return "\n".join(lines) + "\n"


def number_text(numbers: list[int], ids: list[str] = IDS) -> str:
    return "".join(f"{i} {n}\n" for i, n in zip(ids, numbers, strict=True))


def zipped(data: bytes, names: tuple[str, ...] = ("list.txt",)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


def read(folder: Path, **files: str | bytes) -> Labels:
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return read_labels(fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), "", where="--source there")


def refusal(folder: Path, **files: str | bytes) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, **files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reads_all_three_files_as_celeba_writes_them(tmp_path: Path) -> None:
    labels = read(
        tmp_path,
        list_attr_celeba__txt=attribute_text(),
        list_eval_partition__txt=number_text([0, 0, 1, 2, 2]),
        identity_CelebA__txt=number_text([2880, 2937, 8692, 5805, 9295]),
    )
    assert labels.image_ids.to_pylist() == IDS
    np.testing.assert_array_equal(labels.attributes, VALUES)
    assert labels.partition is not None
    assert labels.partition.tolist() == [0, 0, 1, 2, 2]
    assert labels.identity is not None
    assert labels.identity.tolist() == [2880, 2937, 8692, 5805, 9295]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("list_attr_celeba.txt", bytes),
        ("list_attr_celeba.txt.xz", lzma.compress),
        ("list_attr_celeba.txt.gz", gzip.compress),
        ("list_attr_celeba.txt.zip", zipped),
        ("list_attr_celeba.txt", gzip.compress),  # packed whatever the name says
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_packing_and_newlines_make_no_difference(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], newline: str
) -> None:
    (tmp_path / name).write_bytes(pack(attribute_text().replace("\n", newline).encode()))
    labels = read(tmp_path)
    assert labels.image_ids.to_pylist() == IDS
    np.testing.assert_array_equal(labels.attributes, VALUES)
    assert labels.partition is None
    assert labels.identity is None


def test_csv_with_header_is_read_like_the_text(tmp_path: Path) -> None:
    rows = [",".join([i, *("1" if v else "-1" for v in row)]) for i, row in zip(IDS, VALUES, strict=True)]
    labels = read(
        tmp_path,
        list_attr_celeba__csv="\n".join([",".join(("image_id", *CELEBA)), *rows]),
        list_eval_partition__csv="image_id,partition\n" + number_text([0, 1, 2, 0, 1]).replace(" ", ","),
    )
    np.testing.assert_array_equal(labels.attributes, VALUES)
    assert labels.partition is not None
    assert labels.partition.tolist() == [0, 1, 2, 0, 1]


def test_zero_and_one_are_accepted_and_columns_go_by_name(tmp_path: Path) -> None:
    text = attribute_text(values=VALUES[:, ::-1], names=CELEBA[::-1]).replace(" -1", " 0")
    np.testing.assert_array_equal(read(tmp_path, list_attr_celeba__txt=text).attributes, VALUES)


def test_rows_are_matched_by_name_not_by_order(tmp_path: Path) -> None:
    labels = read(
        tmp_path,
        list_attr_celeba__txt=attribute_text(),
        list_eval_partition__txt=number_text([2, 1, 0, 1, 2], IDS[::-1]),
        identity_CelebA__txt=number_text([5, 4, 3, 2, 1], IDS[::-1]),
    )
    assert labels.partition is not None
    assert labels.partition.tolist() == [2, 1, 0, 1, 2]
    assert labels.identity is not None
    assert labels.identity.tolist() == [1, 2, 3, 4, 5]


def test_take_keeps_rows_together(tmp_path: Path) -> None:
    labels = read(
        tmp_path,
        list_attr_celeba__txt=attribute_text(),
        list_eval_partition__txt=number_text([0, 1, 2, 1, 0]),
    ).take(np.array([4, 2]))
    assert labels.image_ids.to_pylist() == ["000005.jpg", "000003.jpg"]
    np.testing.assert_array_equal(labels.attributes, VALUES[[4, 2]])
    assert labels.partition is not None
    assert labels.partition.tolist() == [0, 2]


def test_without_a_label_file_it_says_what_it_looked_for(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith("--source there: no label file")
    assert "list_attr_celeba.txt" in refusal(tmp_path)


def test_39_names_are_refused_with_the_missing_one(tmp_path: Path) -> None:
    line = refusal(tmp_path, list_attr_celeba__txt=attribute_text(values=VALUES[:, :39], names=CELEBA[:39]))
    assert "list_attr_celeba.txt, line 2" in line
    assert "39 attribute names" in line
    assert "missing: Young" in line


def test_unknown_and_doubled_names_are_refused(tmp_path: Path) -> None:
    names = ("Beard", "Young", *CELEBA[2:])
    line = refusal(tmp_path, list_attr_celeba__txt=attribute_text(names=names))
    assert "unknown: Beard" in line
    assert "twice: Young" in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("000004.jpg", "000004.jpg 1", "line 6: 42 columns, there must be 41"),
        ("000003.jpg", "", "line 5: 40 columns, there must be 41"),
        ("5\n", "6\n", "line 1: says 6 rows, the file has 5"),
        ("5\n", "", "line 1: '5_o_Clock_Shadow"),
        ("000003.jpg", "000001.jpg", "more than one row for 000001.jpg"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = attribute_text()
    assert said in refusal(tmp_path, list_attr_celeba__txt=text.replace(old, new, 1))


@pytest.mark.parametrize("value", ["2", "0", "x", "-", "1.5", "300"])
def test_a_value_that_is_neither_is_refused_with_line_and_attribute(tmp_path: Path, value: str) -> None:
    lines = attribute_text().splitlines()
    fields = lines[4].split()
    fields[1 + CELEBA.index("Eyeglasses")] = value
    lines[4] = " ".join(fields)
    line = refusal(tmp_path, list_attr_celeba__txt="\n".join(lines))
    assert f"list_attr_celeba.txt, line 5: Eyeglasses is {value!r}" in line


def test_files_that_speak_of_other_images_are_refused(tmp_path: Path) -> None:
    fewer = refusal(
        tmp_path,
        list_attr_celeba__txt=attribute_text(),
        list_eval_partition__txt=number_text([0, 0, 1, 2], IDS[:4]),
    )
    assert fewer.startswith("--source there/list_eval_partition.txt: has no row for 000005.jpg")
    more = refusal(tmp_path, list_eval_partition__txt=number_text([0, 0, 1, 2, 2, 0], [*IDS, "9.jpg"]))
    assert more.startswith("--source there/list_attr_celeba.txt: has no row for 9.jpg")


def test_a_partition_that_is_none_is_refused(tmp_path: Path) -> None:
    line = refusal(
        tmp_path,
        list_attr_celeba__txt=attribute_text(),
        list_eval_partition__txt=number_text([0, 1, 3, 1, 1]),
    )
    assert "list_eval_partition.txt, line 3: partition is '3', it must be one of 0, 1, 2" in line


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lzma.compress(attribute_text().encode())[:-20], "cannot be unpacked"),
        (zipped(b"", ("a.txt", "b.txt")), "holds 2 files"),
        (b"\xff\xd8\xff\xe0 not text at all", "line 1"),
        (b"", "line 1"),
        (attribute_text(ids=[], values=VALUES[:0]).encode(), "has no rows"),
    ],
)
def test_what_is_no_label_file_is_refused_by_name(tmp_path: Path, data: bytes, said: str) -> None:
    line = refusal(tmp_path, list_attr_celeba__txt__xz=data)
    assert line.startswith("--source there/list_attr_celeba.txt.xz")
    assert said in line
