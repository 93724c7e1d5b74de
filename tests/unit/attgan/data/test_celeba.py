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
from tests.support.refusals import refused

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
        # Packed whatever the name says.
        ("list_attr_celeba.txt", gzip.compress),
    ],
)
def test_packing_and_newlines_make_no_difference(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(pack(attribute_text().replace("\n", "\r\n").encode()))
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


def test_without_a_label_file_it_says_what_it_looked_for(tmp_path: Path) -> None:
    with refused("label-file-missing", "--source there", "list_attr_celeba.txt"):
        read(tmp_path)


def test_unknown_and_doubled_names_are_refused(tmp_path: Path) -> None:
    names = ("Beard", "Young", *CELEBA[2:])
    with refused("label-header-wrong", "unknown: Beard", "twice: Young"):
        read(tmp_path, list_attr_celeba__txt=attribute_text(names=names))


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("000004.jpg", "000004.jpg 1", ("label-file-malformed", "line 6", "42", "41")),
        ("5\n", "6\n", ("label-count-wrong", "6", "5")),
        ("000003.jpg", "000001.jpg", ("image-id-repeated", "000001.jpg")),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, old: str, new: str, rule: tuple[str, ...]) -> None:
    text = attribute_text()
    with refused(*rule):
        read(tmp_path, list_attr_celeba__txt=text.replace(old, new, 1))


@pytest.mark.parametrize("value", ["2", "x"])
def test_a_value_that_is_neither_is_refused_with_line_and_attribute(tmp_path: Path, value: str) -> None:
    lines = attribute_text().splitlines()
    fields = lines[4].split()
    fields[1 + CELEBA.index("Eyeglasses")] = value
    lines[4] = " ".join(fields)
    with refused("label-value-invalid", "list_attr_celeba.txt, line 5", "Eyeglasses", repr(value)):
        read(tmp_path, list_attr_celeba__txt="\n".join(lines))


def test_files_that_speak_of_other_images_are_refused(tmp_path: Path) -> None:
    with refused("label-files-differ", "--source there/list_eval_partition.txt", "000005.jpg"):
        read(
            tmp_path,
            list_attr_celeba__txt=attribute_text(),
            list_eval_partition__txt=number_text([0, 0, 1, 2], IDS[:4]),
        )
    with refused("label-files-differ", "--source there/list_attr_celeba.txt", "9.jpg"):
        read(tmp_path, list_eval_partition__txt=number_text([0, 0, 1, 2, 2, 0], [*IDS, "9.jpg"]))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lzma.compress(attribute_text().encode())[:-20], "label-file-unreadable"),
        (b"\xff\xd8\xff\xe0 not text at all", "label-file-malformed"),
        (attribute_text(ids=[], values=VALUES[:0]).encode(), "source-without-rows"),
    ],
)
def test_what_is_no_label_file_is_refused_by_name(tmp_path: Path, data: bytes, code: str) -> None:
    with refused(code, "--source there/list_attr_celeba.txt.xz"):
        read(tmp_path, list_attr_celeba__txt__xz=data)
