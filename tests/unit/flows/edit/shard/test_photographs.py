"""Photographs through a shard: faces found, edited where they are, and told of in the ledger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attgan.drawn_faces import draw, sample_face
from flows.edit import one_file
from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.one_file import NotEdited, edit_file, slide_file
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from tests.support.images.pictures import noise, opened, saved
from tests.support.images.scenes import photograph, placement
from tests.support.refusals import refused

MakeSettings = Callable[..., EditSettings]
TWO = {3: placement(60, 40, 1.2, 8), 5: placement(420, 90, 0.9, -15)}


@pytest.fixture(scope="session")
def group() -> np.ndarray:
    """640×400 with two drawn faces, turned, the left one larger."""
    return photograph(640, 400, TWO)


def run_all(settings: EditSettings) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """Rows and results by key."""
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    for shard in range(prepared.run.shards):
        edit_shard(prepared.run.url, shard, settings)
    rows = [
        row
        for key in finished_shards(prepared.store).values()
        for row in read_rows(prepared.store, key).to_pylist()
    ]
    out = Path(settings.destination)
    return (
        {row["key"]: row for row in rows},
        {path.name: opened(path.read_bytes()) for path in out.glob("*.*")},
    )


def boxes(row: dict[str, Any]) -> list[tuple[float, ...]]:
    return [tuple(face["box"]) for face in row["faces"]]


def test_every_face_of_a_photograph_is_edited_and_nothing_else(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    (tmp_path / "in" / "group.png").write_bytes(saved(group, "PNG"))
    rows, results = run_all(settings(bundle="default"))
    row, result = rows["group.png"], results["group.png"]
    assert (row["status"], len(row["faces"])) == ("edited", 2)
    assert result.shape == group.shape
    changed = (result != group).any(axis=2)
    for left, top, right, bottom in boxes(row):
        assert changed[int(top) : int(bottom), int(left) : int(right)].any()
    assert 0.001 < changed.mean() < 0.3
    assert not changed[:, :40].any()
    assert not changed[330:].any()
    first = row["faces"][0]
    assert len(first["landmarks"]) == 10
    assert 0.9 <= first["confidence"] <= 1
    assert (first["attributes_from"], first["status"]) == ("classifier", "edited")
    assert (first["predicted"], first["targets"]) == (row["predicted"], pytest.approx(row["targets"]))


def test_the_largest_face_alone(tmp_path: Path, settings: MakeSettings, group: np.ndarray) -> None:
    (tmp_path / "in" / "group.png").write_bytes(saved(group, "PNG"))
    rows, results = run_all(settings(bundle="default", faces="largest"))
    (box,) = boxes(rows["group.png"])
    assert box[2] < 320, "the left one"
    changed = (results["group.png"] != group).any(axis=2)
    assert changed.any()
    assert not changed[:, 400:].any()


def test_the_face_alone_is_that_of_its_row(tmp_path: Path, settings: MakeSettings) -> None:
    """Of two faces the larger one decides, also if it is left as it is and the other one could be edited."""
    for name, wearers in (("bare.png", [5]), ("worn.png", [3])):
        (tmp_path / "in" / name).write_bytes(saved(photograph(640, 400, TWO, wearers=wearers), "PNG"))
    rows, results = run_all(settings(bundle="default", output="face"))
    assert {name: (row["status"], len(row["faces"])) for name, row in rows.items()} == {
        "bare.png": ("edited", 1),
        "worn.png": ("copied", 1),
    }
    assert all(row["faces"][0]["box"][2] < 320 for row in rows.values()), "the left one"
    assert {picture.shape for picture in results.values()} == {(128, 128, 3)}


def test_aligned_images_and_photographs_may_be_mixed(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    images = {
        "aligned.png": saved(draw(sample_face(7, glasses_share=0.0)), "PNG"),
        "group.png": saved(group, "PNG"),
        "faceless.png": saved(noise(1), "PNG"),
        "nobody.png": saved(noise(1, 300, 200), "PNG"),
        "square.png": saved(noise(2, 300, 300), "PNG"),
    }
    for name, data in images.items():
        (tmp_path / "in" / name).write_bytes(data)
    rows, _ = run_all(settings(bundle="default"))
    assert {name: row["status"] for name, row in rows.items()} == {
        "aligned.png": "edited",
        "faceless.png": "skipped",
        "group.png": "edited",
        "nobody.png": "skipped",
        "square.png": "skipped",
    }
    assert rows["aligned.png"]["faces"] is None
    for name in ("faceless.png", "nobody.png", "square.png"):
        assert (rows[name]["stage"], rows[name]["reason"]) == ("find", "no face found")
    (tmp_path / "other").mkdir()
    rows, _ = run_all(
        settings(bundle="default", faces="aligned", on_present="edit", destination=str(tmp_path / "other"))
    )
    assert rows["faceless.png"]["status"] == "edited"
    assert rows["square.png"]["status"] == "edited"
    assert rows["group.png"]["reason"] == "not an aligned face: neither square nor of 178×218's proportions"


def test_the_bare_face_of_a_photograph_is_the_largest(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    (tmp_path / "in" / "group.png").write_bytes(saved(group, "PNG"))
    _, results = run_all(settings(bundle="default", output="face"))
    assert results["group.png"].shape == (128, 128, 3)


def test_the_same_bytes_whatever_else_is_in_the_shard(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    for i in range(4):
        (tmp_path / "in" / f"{i}.png").write_bytes(saved(np.roll(group, 3 * i, axis=1), "PNG"))
    results = []
    for shard_size in (4, 1):
        place = tmp_path / f"out{shard_size}"
        place.mkdir()
        results.append(run_all(settings(bundle="default", destination=str(place), shard_size=shard_size))[1])
    for name in results[0]:
        np.testing.assert_array_equal(results[0][name], results[1][name])


def test_one_file_gets_the_bytes_that_its_folder_would(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    photo = tmp_path / "in" / "group.jpg"
    photo.write_bytes(saved(group, quality=95))
    run_all(settings(bundle="default"))
    row = edit_file(settings(bundle="default", source=str(photo), destination=str(tmp_path / "one.jpg")))
    assert (row.status, len(row.faces or ())) == ("edited", 2)
    assert (tmp_path / "one.jpg").read_bytes() == (tmp_path / "out" / "group.jpg").read_bytes()


@pytest.mark.parametrize(("name", "format"), [("one.webp", "WEBP"), ("one.JFIF", "JPEG"), ("one", "PNG")])
def test_one_file_takes_its_format_from_the_new_name(
    name: str, format: str, tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    photo = tmp_path / "in" / "group.png"
    photo.write_bytes(saved(group, "PNG"))
    edit_file(settings(bundle="default", source=str(photo), destination=str(tmp_path / name)))
    assert Image.open(tmp_path / name).format == format


@pytest.mark.parametrize("extension", ["heic", "gif", "bmp", "avif", "doe"])
def test_a_format_that_is_not_written_is_refused_by_the_name(
    extension: str, tmp_path: Path, settings: MakeSettings
) -> None:
    photo = tmp_path / "in" / "group.png"
    photo.write_bytes(b"not read")
    with refused("output-format-unknown", f".{extension}"):
        edit_file(settings(source=str(photo), destination=str(tmp_path / f"john.{extension}")))
    assert not list(tmp_path.glob("john*"))


def test_one_file_is_never_written_over_itself(tmp_path: Path, settings: MakeSettings) -> None:
    photo = tmp_path / "in" / "group.png"
    photo.write_bytes(b"the only copy")
    (tmp_path / "link.png").symlink_to(photo)
    for place in (photo, photo.parent, tmp_path / "link.png"):
        with refused("destination-overlaps-source"):
            edit_file(settings(source=str(photo), destination=str(place), on_existing="overwrite"))
    assert photo.read_bytes() == b"the only copy"


def test_one_file_without_a_face_or_with_its_place_taken(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray
) -> None:
    nobody = tmp_path / "in" / "nobody.png"
    nobody.write_bytes(saved(noise(1, 300, 200), "PNG"))
    with pytest.raises(NotEdited) as caught:
        edit_file(settings(bundle="default", source=str(nobody), destination=str(tmp_path / "x.png")))
    assert caught.value.code == "file-not-edited"
    photo = tmp_path / "in" / "group.png"
    photo.write_bytes(saved(group, "PNG"))
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(NotEdited) as caught:
        edit_file(settings(bundle="default", source=str(photo), destination=str(tmp_path / "mine.png")))
    assert caught.value.code == "file-not-edited"
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_a_slide_shows_the_glasses_that_the_edit_would_draw(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_file, "INTENSITIES", (1.0,))
    photo = tmp_path / "in" / "group.png"
    photo.write_bytes(saved(group, "PNG"))
    strips = []
    for name, style in (("usual", []), ("wayfarer", ["wayfarer"]), ("sunglasses", ["aviator,sunglasses"])):
        strip = tmp_path / f"{name}.jpg"
        slide_file(settings(bundle="default", source=str(photo), destination=str(strip), style=style))
        strips.append(strip.read_bytes())
    assert strips[0] == strips[1] != strips[2]


@pytest.mark.parametrize("options", [{"paste": "difference"}, {"paste": "whole"}, {"output": "face"}])
def test_a_grey_photograph_stored_in_colour_gets_no_colour(
    tmp_path: Path, settings: MakeSettings, group: np.ndarray, options: dict[str, str]
) -> None:
    grey = np.repeat(np.array(Image.fromarray(group).convert("L"))[..., None], 3, axis=2)
    (tmp_path / "in" / "grey.png").write_bytes(saved(grey, "PNG"))
    rows, results = run_all(settings(bundle="default", on_present="edit", **options))
    assert rows["grey.png"]["status"] == "edited"
    result = results["grey.png"]
    assert result.shape != grey.shape or (result != grey).any()
    assert (result == result[..., :1]).all()
