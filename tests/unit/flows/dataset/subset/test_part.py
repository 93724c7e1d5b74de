"""Parts on disk, without Ray or Prefect."""

from pathlib import Path

import numpy as np
import pytest

from attgan.data import codec
from attgan.data.manifest import Manifest, to_bytes
from attgan.data.shards import attribute_matrix, open_dataset
from attgan.data.stored import unpack_face
from attgan.data.transforms import face_box, take_face
from flows.dataset.datasets import find_finished, publish
from flows.dataset.subset.part import PartResult, make_part
from flows.dataset.subset.plan import Plan, make_plan
from flows.dataset.subset.report import manifest_of
from flows.settings import SubsetSettings
from flows.storage import open_store
from tests.support.data.celeba_folder import attributes, image_ids, write_folder
from tests.support.refusals import refused

BROKEN = {"000004.jpg": b"", "000009.jpg": b"\xff\xd8 not a picture", "000011.jpg": b"GIF89a"}


def plan_of(folder: Path, out: Path, **options: object) -> Plan:
    usual = {"source": str(folder), "destination": str(out), "subset": "all", "rows_per_part": 16}
    return make_plan(SubsetSettings.model_validate(usual | options))


def make_all(plan: Plan, out: Path) -> list[PartResult]:
    """What the flow does with the parts, in this process."""
    return [make_part(task) for task in plan.tasks(str(out))]


def make_dataset(plan: Plan, out: Path) -> Manifest:
    manifest = manifest_of(plan, make_all(plan, out))
    publish(open_store(str(out)), manifest)
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "celeba", rows=50, positives=10, missing=5, instead=BROKEN)


@pytest.mark.parametrize(("store", "size"), [("original", 128), ("cropped", 64)])
def test_every_row_at_hand_is_in_the_dataset_or_named(
    folder: Path, tmp_path: Path, store: str, size: int
) -> None:
    out = tmp_path / "out"
    manifest = make_dataset(plan_of(folder, out, store=store, size=size), out)
    dataset = open_dataset(*open_store(str(out)).filesystem())
    tables = [dataset.read(index) for index in range(len(manifest.parts))]

    names = [name for table in tables for name in table.column("image_id").to_pylist()]
    left_out = {image.image_id: image.reason for image in manifest.unreadable}
    assert sorted([*names, *left_out]) == image_ids(45)
    assert set(left_out) == set(BROKEN)
    assert "empty" in left_out["000004.jpg"]
    counts = manifest.counts
    assert (counts.labelled, counts.at_hand, counts.not_at_hand) == (50, 45, 5)
    assert (counts.chosen, counts.unreadable, counts.rows) == (45, 3, 42)

    rows = [image_ids(50).index(name) for name in names]
    stored = np.concatenate([attribute_matrix(table) for table in tables])
    np.testing.assert_array_equal(stored, attributes(50, 10)[rows])
    by_name = {item.name: item.rows for item in manifest.attributes}
    assert by_name["Eyeglasses"] == attributes(50, 10)[rows, 15].sum()
    assert [t for table in tables for t in table.column("partition").to_pylist()] == [
        {8: 1, 9: 2}.get(row % 10, 0) for row in rows
    ]
    assert [t for table in tables for t in table.column("identity").to_pylist()] == [
        row // 3 + 1 for row in rows
    ]


@pytest.mark.parametrize(("store", "size"), [("original", 128), ("cropped", 128)])
def test_the_stored_faces_are_the_sources_faces(folder: Path, tmp_path: Path, store: str, size: int) -> None:
    out = tmp_path / "out"
    manifest = make_dataset(plan_of(folder, out, store=store, size=size), out)
    dataset = open_dataset(*open_store(str(out)).filesystem())
    table = dataset.read(1)
    for name, image in zip(
        table.column("image_id").to_pylist(), table.column("image").to_pylist(), strict=True
    ):
        pixels = codec.decode((folder / "img_align_celeba" / name).read_bytes()).pixels
        box = face_box(178, 218)
        assert box is not None
        difference = unpack_face(image, manifest.images, size).astype(int) - take_face(pixels, box, size)
        assert np.abs(difference).mean() < (0.01 if store == "original" else 2)


def test_the_same_settings_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert to_bytes(make_dataset(plan_of(folder, one), one)) == to_bytes(
        make_dataset(plan_of(folder, two), two)
    )
    files = sorted(path.name for path in one.iterdir())
    assert files == ["manifest.json", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_leftovers_of_a_killed_run_are_taken_over(folder: Path, tmp_path: Path) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    plan = plan_of(folder, out)
    # And then it was killed.
    make_part(list(plan.tasks(str(out)))[1])
    times = (out / "part-00001.parquet").stat().st_mtime_ns
    parts = make_all(plan, out)
    assert [part.reused for part in parts] == [False, True, False]
    assert (out / "part-00001.parquet").stat().st_mtime_ns == times
    assert manifest_of(plan, parts) == make_dataset(plan_of(folder, fresh), fresh)


def test_a_part_of_another_plan_is_refused_and_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_all(plan_of(folder, out, seed=1), out)
    before = (out / "part-00000.parquet").read_bytes()
    with refused("destination-holds-other-dataset"):
        make_all(plan_of(folder, out, seed=2), out)
    assert (out / "part-00000.parquet").read_bytes() == before


def test_a_finished_dataset_is_recognised_and_another_one_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store = open_store(str(out), option="--destination")
    plan = plan_of(folder, out)
    assert find_finished(store, plan.digest) is None
    manifest = make_dataset(plan, out)
    assert find_finished(store, plan.digest) == manifest
    with refused("destination-holds-other-dataset"):
        find_finished(store, plan_of(folder, out, seed=1).digest)
    (out / "part-00002.parquet").unlink()
    with refused("dataset-damaged"):
        find_finished(store, plan.digest)


def test_an_image_that_has_gone_since_the_listing_is_left_out(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = plan_of(folder, out, rows_per_part=100)
    (folder / "img_align_celeba" / "000001.jpg").unlink()
    parts = make_all(plan, out)
    reasons = {image.image_id: image.reason for image in parts[0].note.unreadable}
    assert reasons["000001.jpg"] == "fetch: gone since it was listed"
    assert parts[0].entry.rows == 41
