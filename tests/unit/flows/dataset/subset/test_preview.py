import re
from pathlib import Path

import pytest

from attgan.errors import UserError
from flows.dataset.subset import describe
from flows.dataset.subset.part import make_part
from flows.dataset.subset.plan import make_plan
from flows.settings import SubsetSettings
from tests.support.data.celeba_folder import GLASSES, attributes, write_folder
from tests.support.refusals import codes_in


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


def test_the_attributes_stand_in_descending_order(folder: Path) -> None:
    text = describe(SubsetSettings(source=str(folder), subset="eyeglasses-only"))
    table = text.split("attribute ")[1].splitlines()[1:]
    shares = [float(line.split()[1]) for line in table if line]
    assert table[0].split()[:2] == ["Eyeglasses", "1.00"]
    assert len(shares) == 40
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("store", ["original", "cropped"])
def test_the_expected_bytes_are_those_that_come(folder: Path, tmp_path: Path, store: str) -> None:
    options = {"source": str(folder), "subset": "all", "store": store}
    expected = float(preview(folder, **options)[f"expected bytes ({store})"][1].removesuffix(" MB"))
    task = next(make_plan(SubsetSettings.model_validate(options)).tasks(str(tmp_path / "out")))
    made = make_part(task).entry.bytes / 1e6
    assert expected == pytest.approx(made, rel=0.2, abs=0.06)


def test_too_few_images_at_hand_are_said_beside_the_labelled_rows(folder: Path) -> None:
    options = {"source": str(folder), "subset": "random", "count": 50}
    text = describe(SubsetSettings.model_validate(options))
    assert codes_in(text) == ["subset-too-few-rows"]
    assert "--count 50: there are 40 rows" in text
    assert preview(folder, **options)["drawn"] == ("50", "-")


def test_it_works_on_label_files_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "celeba", rows=30, positives=6, missing=30)
    assert preview(folder)["drawn"] == ("18", "-")


def test_a_mistake_is_refused_not_described(folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean"):
        describe(SubsetSettings(source=str(folder), subset="eyeglass-only"))
    with pytest.raises(UserError, match="--count 61: there are 60 rows"):
        describe(SubsetSettings(source=str(folder), subset="random", count=61))
    with pytest.raises(UserError, match="did you mean"):
        describe(SubsetSettings(source=str(folder), subset="eyeglass-extended"))


def test_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    describe(SubsetSettings(source=str(folder), destination=str(tmp_path / "out")))
    assert sorted(tmp_path.rglob("*")) == before
