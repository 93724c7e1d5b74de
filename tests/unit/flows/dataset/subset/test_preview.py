import re
from pathlib import Path

import pytest

from flows.dataset.subset import describe
from flows.settings import SubsetSettings
from tests.support.data.celeba_folder import GLASSES, attributes, write_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "celeba", rows=60, positives=12, missing=20)


def preview(folder: Path, **options: object) -> dict[str, tuple[str, str]]:
    """The text's lines by their name."""
    text = describe(SubsetSettings.model_validate({"source": str(folder), **options}))
    rows = (re.fullmatch(r"(\S.*?)\s{2,}(\S.*?)\s{2,}(\S.*)", line) for line in text.splitlines())
    return {row[1]: (row[2], row[3]) for row in rows if row}


def test_it_counts_labelled_rows_and_those_at_hand(folder: Path) -> None:
    rows = preview(folder, rows_per_part=10, partitions=["train"])
    here = attributes(60, 12)[:40, GLASSES]
    train = [i for i in range(60) if i % 10 < 8]
    positives = [sum(attributes(60, 12)[i, GLASSES] for i in train if i < end) for end in (60, 40)]
    assert here.any()
    assert rows["rows"] == ("60", "40")
    assert rows["in train"] == ("48", "32")
    assert rows["with Eyeglasses"] == (str(positives[0]), str(positives[1]))
    assert rows["drawn"] == (str(3 * positives[0]), str(3 * positives[1]))
    assert rows["parts"] == (str(-(-3 * positives[0] // 10)), str(-(-3 * positives[1] // 10)))


def test_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    describe(SubsetSettings(source=str(folder), destination=str(tmp_path / "out")))
    assert sorted(tmp_path.rglob("*")) == before
