"""Tables of others become a dataset: complete, counted, resumable, never over another one."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from attgan.data.loading.loader import open_faces
from attgan.data.manifest import Manifest
from attgan.data.shards import Dataset, open_dataset
from attgan.errors import UserError
from flows import cli
from flows.dataset.ingest import describe, ingest
from flows.runtime.exits import WRONG_USE
from flows.settings import IngestSettings
from flows.storage import open_store
from tests.support.data.foreign_tables import pictures, write_table
from tests.support.refusals import refused

ROWS = 23
GLASSES = np.arange(ROWS) % 3 == 0


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path_factory.mktemp("no-stack")))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two files as on the hub: a struct of bytes, labels of -1 and 1, words for partitions; one image is broken."""
    folder = tmp_path / "tables"
    images = pictures(ROWS)
    images[9] = b"\xff\xd8 broken"
    struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for index, (start, end) in enumerate([(0, 10), (10, ROWS)]):
        rows = range(start, end)
        columns: dict[str, Any] = {
            "image": pa.array([{"bytes": images[row], "path": None} for row in rows], struct),
            "name": [f"{row}.jpg" for row in rows],
            "Eyeglasses": [1 if GLASSES[row] else -1 for row in rows],
            "hat": [row % 2 == 0 for row in rows],
            "Young": [None if row == 4 else True for row in rows],
            "split": ["validation" if row % 5 == 0 else "train" for row in rows],
            "celeb_id": [f"person {row // 4}" for row in rows],
            "note": ["" for _ in rows],
        }
        write_table(folder / f"train-{index:05d}.parquet", columns)
    return folder


def settings_of(source: Path, destination: Path | None, **options: object) -> IngestSettings:
    usual: dict[str, object] = {
        "source": str(source),
        "destination": None if destination is None else str(destination),
        "id_column": "name",
        "identity_column": "celeb_id",
        "rename": ["hat=Wearing_Hat"],
        "rows_per_part": 6,
        "max_unreadable_share": 0.1,
    }
    return IngestSettings.model_validate(usual | options)


def opened(folder: Path) -> Dataset:
    return open_dataset(*open_store(str(folder)).filesystem())


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_row_is_in_the_dataset_or_named(source: Path, tmp_path: Path) -> None:
    shown = ingest(settings_of(source, tmp_path / "out"))
    assert (shown["rows"], shown["unreadable"], shown["parts"], shown["attributes"]) == (22, 1, 4, 2)
    dataset = opened(tmp_path / "out")
    manifest: Manifest = dataset.manifest
    assert [image.image_id for image in manifest.unreadable] == ["9.jpg"]
    assert manifest.counts.labelled == manifest.counts.chosen == ROWS
    assert (manifest.images.geometry, manifest.images.side, manifest.identity) == ("original", 128, True)
    kept = [row for row in range(ROWS) if row != 9]
    shares = {share.name: share.rows for share in manifest.attributes}
    assert shares == {"Eyeglasses": GLASSES[kept].sum(), "Wearing_Hat": sum(row % 2 == 0 for row in kept)}

    table = pa.concat_tables([dataset.read(part) for part in range(4)])
    assert table.column("image_id").to_pylist() == [f"{row}.jpg" for row in kept]
    images = pictures(ROWS)
    assert table.column("image").to_pylist() == [images[row] for row in kept]
    assert table.column("Eyeglasses").to_pylist() == GLASSES[kept].tolist()
    assert table.column("Young").to_pylist() == [None if row == 4 else True for row in kept]
    assert table.column("Bald").null_count == 22
    assert table.column("partition").to_pylist() == [int(row % 5 == 0) for row in kept]
    assert len(set(table.column("identity").to_pylist())) == 6


def test_the_loader_reads_it_and_refuses_what_is_unknown(source: Path, tmp_path: Path) -> None:
    ingest(settings_of(source, tmp_path / "out"))
    dataset = opened(tmp_path / "out")
    with open_faces(dataset, size=96, attributes=["Wearing_Hat", "Eyeglasses"]) as faces:
        # Rows 0, 5, 10, 15 and 20, less the broken one.
        assert faces.held_out.tolist() == [0, 5, 9, 14, 19]
        batch = next(iter(faces.batches(faces.training, 8, seed=0, name="train")))
        kept = np.array([row for row in range(ROWS) if row != 9])[batch.rows]
        np.testing.assert_array_equal(batch.labels.numpy(), np.stack([kept % 2 == 0, GLASSES[kept]], axis=1))
    for name, unknown in (("Young", 1), ("Bald", 22)):
        with pytest.raises(UserError, match=f"attribute {name}: is unknown for {unknown} of the 22 rows"):
            open_faces(dataset, size=96, attributes=[name])


def test_the_same_source_gives_the_same_bytes_and_is_recognised(source: Path, tmp_path: Path) -> None:
    ingest(settings_of(source, tmp_path / "one"))
    ingest(settings_of(source, tmp_path / "two"))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").iterdir()}
    again = ingest(settings_of(source, tmp_path / "one"))
    assert again["parts made before"] == again["parts"] == 4
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").iterdir()} == times


@pytest.mark.parametrize("left", [(1, 2), (0, 3)])
def test_what_a_killed_run_has_left_is_taken_over(
    source: Path, tmp_path: Path, left: tuple[int, ...]
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    ingest(settings_of(source, whole))
    out.mkdir()
    for part in left:
        name = f"part-{part:05d}.parquet"
        (out / name).write_bytes((whole / name).read_bytes())
    shown = ingest(settings_of(source, out))
    assert shown["parts made before"] == len(left)
    assert files(out) == files(whole)


def test_another_dataset_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest(settings_of(source, out))
    before = files(out)
    with refused("destination-holds-other-dataset"):
        ingest(settings_of(source, out, rows_per_part=7))
    (out / "manifest.json").unlink()
    with refused("destination-holds-other-dataset"):
        ingest(settings_of(source, out, rows_per_part=7))
    assert files(out) == {name: data for name, data in before.items() if name != "manifest.json"}


def test_too_many_broken_images_stop_it_and_a_higher_limit_goes_on(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with refused("unreadable-share-exceeded") as caught:
        ingest(settings_of(source, out, max_unreadable_share=0.01))
    assert "1 of 23 images" in caught.value.line
    assert "9.jpg: " in caught.value.line
    assert sorted(files(out)) == ["part-00000.parquet", "part-00001.parquet"]
    assert ingest(settings_of(source, out))["parts made before"] == 2


def test_faces_are_cropped_to_a_size_and_smaller_ones_left_out(source: Path, tmp_path: Path) -> None:
    ingest(settings_of(source, tmp_path / "out", store="cropped", size=64))
    stored = opened(tmp_path / "out").manifest.images
    assert (stored.geometry, stored.side) == ("cropped", 64)
    with refused("unreadable-share-exceeded"):
        ingest(settings_of(source, tmp_path / "large", size=160))


def test_a_single_file_without_names_partitions_or_people(tmp_path: Path) -> None:
    path = write_table(tmp_path / "faces.parquet", {"image": pictures(5), "Bald": [1, 0, 0, 1, 0]})
    ingest(IngestSettings(source=str(path), destination=str(tmp_path / "out")))
    table = opened(tmp_path / "out").read(0)
    assert table.column("image_id").to_pylist() == [f"faces-{row:07d}" for row in range(5)]
    assert table.column("partition").null_count == 5
    assert "identity" not in table.column_names


def test_the_destination_must_not_hold_the_source(source: Path) -> None:
    with refused("destination-overlaps-source"):
        ingest(settings_of(source, source))
    with refused("option-required"):
        ingest(settings_of(source, None))


def test_a_dry_run_describes_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    rows = {row["what"]: row["value"] for row in describe(settings_of(source, None))}
    assert (rows["rows"], rows["parts"], rows["people"], rows["rows of valid"]) == ("23", "4", "6", "5")
    assert "Young" not in rows, "it is not known for every row"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables"]


def test_from_the_terminal(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = ["ingest", "--source", str(source), "--rename", "hat=Wearing_Hat", "--id-column", "name"]
    assert cli.run([*usual, "--dry-run"]) == 0
    assert "Wearing_Hat" in capsys.readouterr().out
    assert cli.run([*usual, "--destination", str(tmp_path / "out"), "--max-unreadable-share", "0.05"]) == 0
    printed = capsys.readouterr().out
    assert "23 of 23 images (100%)" in printed
    assert "columns that are not used: celeb_id, note" in printed
    assert opened(tmp_path / "out").manifest.counts.rows == 22
    for arguments, option in (
        (["--rename", "hat"], "--rename hat: "),
        (["--rename", "hat=Hat", "--dry-run"], "--rename hat=Hat: "),
    ):
        assert cli.run([*usual[:3], *arguments]) == WRONG_USE
        assert option in capsys.readouterr().err
