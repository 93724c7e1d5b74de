from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from attgan.errors import UserError
from flows.dataset.subset.part import unpack_rows
from flows.dataset.subset.plan import Plan, make_plan, refuse_overlap
from flows.settings import SubsetSettings
from tests.support.data.celeba_folder import GLASSES, attributes, write_folder
from tests.support.refusals import refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "celeba", rows=60, positives=12, missing=20)


def plan(folder: Path, **options: object) -> Plan:
    return make_plan(SubsetSettings.model_validate({"source": str(folder), **options}))


def ids(plan: Plan) -> list[str]:
    names: list[str] = plan.labels.image_ids.to_pylist()
    return names


def test_an_extended_subset_is_drawn_among_what_is_at_hand(folder: Path) -> None:
    made = plan(folder, subset="eyeglasses-extended")
    positives = int(attributes(60, 12)[:40, GLASSES].sum())
    assert made.labels.attributes[:, GLASSES].sum() == positives
    assert len(made.labels) == 3 * positives


def test_ratio_and_count_belong_to_their_subsets(folder: Path) -> None:
    assert len(plan(folder, subset="random", count=7).labels) == 7
    assert len(plan(folder, subset="random").labels) == 40, "all, of fewer than 70,000"
    positives = int(attributes(60, 12)[:40, GLASSES].sum())
    assert len(plan(folder, subset="eyeglasses-extended", ratio=0.5).labels) == 2 * positives
    for wrong in ({"subset": "all", "ratio": 0.5}, {"subset": "all", "count": 3}):
        with pytest.raises(UserError):
            plan(folder, **wrong)


def test_a_source_without_any_of_its_images_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "celeba", rows=10, positives=2, missing=10)
    with refused("images-missing"):
        plan(folder, subset="all")
    (folder / "img_align_celeba").rmdir()
    with refused("images-missing"):
        plan(folder, subset="all")


def test_images_one_folder_deeper_and_behind_a_link_are_found(folder: Path, tmp_path: Path) -> None:
    flat = plan(folder, subset="all")
    elsewhere = tmp_path / "elsewhere" / "img_align_celeba"
    elsewhere.parent.mkdir()
    (folder / "img_align_celeba").rename(elsewhere)
    (folder / "img_align_celeba").symlink_to(elsewhere.parent)
    nested = plan(folder, subset="all")
    assert nested.images == flat.images + "/img_align_celeba"
    assert nested.digest == flat.digest


@pytest.mark.parametrize(("option", "value"), [("subset", "all"), ("seed", 1), ("size", 64)])
def test_the_digest_tells_plans_apart(folder: Path, option: str, value: object) -> None:
    usual: dict[str, object] = {"store": "cropped"}
    assert plan(folder, **usual).digest == plan(folder, **usual).digest
    assert plan(folder, **(usual | {option: value})).digest != plan(folder, **usual).digest


@pytest.mark.parametrize("files", [(), ("identity_CelebA.txt",)])
def test_the_tasks_hold_every_row_once_in_order(folder: Path, files: Sequence[str]) -> None:
    for name in files:
        (folder / name).unlink()
    made = plan(folder, subset="all", rows_per_part=9)
    tasks = list(made.tasks("s3://bucket/dataset"))
    assert len(tasks) == made.parts == 5
    assert [task.index for task in tasks] == [0, 1, 2, 3, 4]
    parts = [unpack_rows(task.rows) for task in tasks]
    assert [name for labels, _ in parts for name in labels.image_ids.to_pylist()] == ids(made)
    assert [len(labels) for labels, _ in parts] == [9, 9, 9, 9, 4]
    np.testing.assert_array_equal(
        np.concatenate([labels.attributes for labels, _ in parts]), made.labels.attributes
    )
    np.testing.assert_array_equal(np.concatenate([sizes for _, sizes in parts]), made.sizes)
    for column in ("partition", "identity"):
        whole = getattr(made.labels, column)
        pieces = [getattr(labels, column) for labels, _ in parts]
        if whole is None:
            assert pieces == [None] * 5
        else:
            np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_overlapping_places_are_refused(folder: Path) -> None:
    def settings(destination: str | None) -> SubsetSettings:
        return SubsetSettings(source=str(folder), destination=destination)

    for wrong in (str(folder), str(folder.parent), str(folder / "img_align_celeba" / "out")):
        with refused("destination-overlaps-source"):
            refuse_overlap(settings(wrong))
    with refused("option-required"):
        refuse_overlap(settings(None))
    assert refuse_overlap(settings(str(folder / "dataset"))) == str(folder / "dataset")
