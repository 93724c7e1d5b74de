"""`attgan evaluate` on drawn faces: all kinds of tables are read, and figures are those of what the edit returns."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from attgan.data.stored import pack_image
from attgan.drawn_faces.dataset import face_at, picture
from attgan.drawn_faces.drawing import draw_pair
from attgan.drawn_faces.labels import labels
from attgan.evaluation.evaluator import evaluator_of, save_evaluator
from attgan.models import load_bundle
from attgan.models.default import default_bundle_path
from attgan.models.folder import Folder
from flows.dataset.face_tables import open_face_tables
from flows.evaluation.evaluate import evaluate
from flows.settings import EvaluateSettings
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.data.foreign_tables import write_table
from tests.support.data.tiny_tflite import mean_colour_network
from tests.support.images.pictures import saved
from tests.support.refusals import refused

BARE, WEARERS = 24, 22


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path_factory.mktemp("no-stack")))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of drawn people, bare ones and wearers, in a folder that is called as the table is."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "drawn" / "aligned").mkdir(parents=True)
    lines = ["file\teyeglasses\tgrey\tsplit\tMale"]
    for number in range(BARE + WEARERS + 2):
        face = face_at(number, seed=77)
        pair = draw_pair(face, "Eyeglasses")
        wears = number >= BARE
        # The last two are of another split.
        split = "test" if number < BARE + WEARERS else "train"
        (folder / "drawn" / "aligned" / f"{number}.png").write_bytes(
            saved(pair.with_it if wears else pair.without, "PNG")
        )
        lines.append(f"{number}.png\t{wears:d}\t0\t{split}\t{labels(face)['Male']:d}")
    (folder / "drawn.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    save_evaluator(Folder(folder), evaluator_of(load_bundle(default_bundle_path())))
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("network") / "eyes.tflite"
    file.write_bytes(mean_colour_network((1 / 3, 1 / 3, 1 / 3), -110.0))
    return file


def settings_of(table: Path, judge: Path, destination: Path, **options: Any) -> EvaluateSettings:
    usual = {
        "find": "aligned",
        "faces": [str(table)],
        "evaluator": str(judge),
        "destination": str(destination),
    }
    return EvaluateSettings.model_validate(usual | options)


def test_drawn_faces_are_measured_from_end_to_end(
    drawn: Path, judge: Path, network: Path, tmp_path: Path
) -> None:
    settings = settings_of(
        drawn / "drawn.tsv", judge, tmp_path, features=str(network), renderer=True, grey_copies=True, pages=1
    )
    report = evaluate(settings)
    assert report == json.loads((tmp_path / "report.json").read_text())
    whole = report["groups"]["all"]
    assert whole["seen_original"]["faces"] == BARE
    assert whole["seen_wearers"]["faces"] == WEARERS
    # The bundle was made for drawn faces, and so was the judge: glasses come where there were none.
    assert whole["seen_original"]["value"] < 0.2 < 0.6 < whole["seen_result"]["value"]
    assert whole["seen_wearers"]["value"] > 0.8
    assert whole["edited"]["value"] > 0.8
    assert whole["wearers_edited"]["value"] < 0.2
    assert whole["largest_outside"]["value"] == 0
    assert 0 < whole["changed_inside"]["value"] < 0.9
    # Glasses are sharper than bare eyes, and the darkness that the tiny network sees is nearer to wearers'.
    assert whole["sharpness_original"]["value"] < whole["sharpness_result"]["value"]
    assert whole["relative_result"]["value"] < 1
    for figure in whole.values():
        assert figure is None or figure["low"] <= figure["value"] <= figure["high"]
    groups = report["groups"]
    assert (
        groups["grey"]["seen_original"]["faces"]
        == groups["set drawn, greyed"]["seen_original"]["faces"]
        == BARE
    )
    assert groups["male"]["edited"]["faces"] + groups["female"]["edited"]["faces"] == BARE
    assert sum(groups[name]["edited"]["faces"] for name in groups if name.startswith("tone ")) == BARE
    assert "not independent" in report["evaluator"]["about"]
    page = Image.open(io.BytesIO((tmp_path / "page-01.jpg").read_bytes()))
    assert page.width > 4 * 2 * 178
    assert "| all * | 24 | 22 |" in (tmp_path / "report.md").read_text()
    faces = pyarrow.csv.read_csv(tmp_path / "faces.csv").to_pandas()
    bare = faces[~faces.eyeglasses & ~faces.set.str.endswith("greyed")]
    assert bare.glasses_result.astype(bool).mean() == pytest.approx(whole["seen_result"]["value"])
    with refused("report-exists"):
        evaluate(settings)


def test_what_the_classifier_takes_for_a_wearer_is_what_the_user_gets_back(
    drawn: Path, judge: Path, tmp_path: Path
) -> None:
    """Wearers that are called bare are copied by the edit: the result is the original."""
    table = drawn / "swapped.csv"
    rows = "\n".join(f"{number}.png,0" for number in range(BARE, BARE + 4))
    table.write_text(f"file,eyeglasses\n{rows}\n0.png,1\n")
    images = str(drawn / "drawn" / "aligned")
    reports = {
        choice: evaluate(
            settings_of(table, judge, tmp_path / choice, images=[images], on_present=choice, pages=0)
        )["groups"]["all"]
        for choice in ("copy", "edit")
    }
    copied, edited = reports["copy"], reports["edit"]
    assert copied["edited"]["value"] == 0
    assert copied["changed_inside"] is None
    assert copied["sharpness_result"] == copied["sharpness_original"]
    assert edited["edited"]["value"] == 1
    assert edited["changed_inside"]["value"] > 0


def test_a_dataset_is_read_with_its_images_and_a_limit_is_spread_over_it(judge: Path, tmp_path: Path) -> None:
    write_drawn_dataset(tmp_path / "dataset", 60, size=64)
    settings = settings_of(tmp_path / "dataset", judge, tmp_path / "out", split="train", limit=5)
    (table,) = open_face_tables(settings)
    assert [face.wears for face in table.faces].count(True) == 5
    assert [face.wears for face in table.faces].count(False) == 5
    assert table.rows == sorted(table.rows)
    assert max(table.rows) > 40
    # Those are held out.
    assert all(row % 7 != 3 for row in table.rows)
    for (face, data), row in zip(table.images(), table.rows, strict=True):
        truth = labels(face_at(row, 0, 0.4))
        assert (face.wears, face.male, face.young) == (truth["Eyeglasses"], truth["Male"], truth["Young"])
        assert data == pack_image(picture(row, 0, 0.4), "cropped", 64).data


def test_a_dataset_without_partitions_has_no_split(judge: Path, tmp_path: Path) -> None:
    """Its parts have the column all the same, and all of its values are null."""
    write_drawn_dataset(tmp_path / "dataset", 12, size=64)
    for part in (tmp_path / "dataset").glob("*.parquet"):
        rows = pq.read_table(part)
        place = rows.schema.get_field_index("partition")
        field = rows.schema.field(place)
        pq.write_table(rows.set_column(place, field, pa.nulls(len(rows), field.type)), part)
    (table,) = open_face_tables(settings_of(tmp_path / "dataset", judge, tmp_path / "out"))
    assert (len(table.faces), table.split) == (12, False)


def test_a_parquet_table_of_files_is_a_table_like_any_other(drawn: Path, judge: Path, tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "file": ["0.png", "1.png", "2.png"],
        "eyeglasses": [False, None, True],
        "set": ["here", "here", "there"],
        "young": [None, True, False],
    }
    write_table(drawn / "drawn" / "aligned" / "few.parquet", columns)
    settings = settings_of(drawn / "drawn" / "aligned" / "few.parquet", judge, tmp_path)
    (table,) = open_face_tables(settings)
    assert [(face.set, face.name, face.wears, face.young) for face in table.faces] == [
        ("here", "0.png", False, None),
        ("there", "2.png", True, False),
    ]
    assert [data is not None for _, data in table.images()] == [True, True]
    assert not table.split


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"faces": ["gone.tsv"]}, "table-missing"),
        ({"evaluator": "gone.tflite"}, "file-missing"),
        ({"images": ["one", "two"]}, "image-folders-mismatch"),
        ({"split": "valid"}, "faces-missing"),
    ],
)
def test_mistakes_are_named(
    options: dict[str, Any], code: str, drawn: Path, judge: Path, tmp_path: Path
) -> None:
    with refused(code):
        evaluate(settings_of(drawn / "drawn.tsv", judge, tmp_path, **options))
    assert not (tmp_path / "report.json").exists()
