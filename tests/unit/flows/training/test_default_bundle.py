"""The making of the shipped bundle, in small: every stage, and what a second call does."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from attgan.attributes import PUBLISHED, STYLES
from attgan.drawn_faces.dataset import face_at, picture
from attgan.drawn_faces.labels import labels
from attgan.models import load_bundle
from flows.settings import MakeDefaultSettings
from flows.settings.sweep import HigherIsBetter, LowerIsBetter
from flows.storage import open_store
from flows.sweep.records import read_metrics
from flows.sweep.space.resolve import PAIRED_METRICS
from flows.training.default_bundle import make_default
from tests.support.refusals import refused

FACES = 40


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    lines = ["file\teyeglasses\tsplit"]
    for number in range(FACES):
        (folder / f"{number}.jpg").write_bytes(picture(number, seed=7, glasses_share=0.4))
        wears = labels(face_at(number, 7, 0.4))["Eyeglasses"]
        lines.append(f"{number}.jpg\t{int(wears)}\t{'test' if number % 8 == 7 else 'train'}")
    path = folder / "faces.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def settings(table: Path, destination: Path, **options: object) -> MakeDefaultSettings:
    usual: dict[str, object] = {
        "faces": [str(table)],
        "destination": str(destination),
        "licence": "drawn for a test",
        "drawn": 60,
        "size": 64,
        "steps": 2,
        "final_steps": 2,
        "classifier_steps": 2,
        "cpus": 1,
    }
    return MakeDefaultSettings.model_validate(usual | options)


@pytest.mark.long
def test_all_stages_end_in_a_small_bundle_that_knows_styles_and_doubt(table: Path, tmp_path: Path) -> None:
    made = make_default(settings(table, tmp_path))
    bundle = load_bundle(tmp_path / "default")
    assert bundle.config.attributes == PUBLISHED
    assert bundle.config.generator.styles == STYLES
    assert bundle.config.generator.compositing == "direct"
    assert bundle.config.dtype == "float16"
    assert bundle.config.licence == "drawn for a test"
    assert bundle.discriminator is None
    assert bundle.classifier is not None
    low, high = bundle.classifier.config.unsure
    assert np.isfinite([low, high]).all()
    assert low <= high
    for grid in (tmp_path / "paired" / "grids").iterdir():
        with Image.open(grid) as image:
            assert image.width > 3 * 64
    measured = {name for row in read_metrics(open_store(str(tmp_path / "paired"))) for name in row}
    # Nothing recognises edits here: the classifier is trained last.
    assert measured & set(get_args(HigherIsBetter) + get_args(LowerIsBetter)) == PAIRED_METRICS - {
        "edited_accuracy"
    }
    assert make_default(settings(table, tmp_path)) == made


def test_table_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with refused("table-missing"):
        make_default(settings(tmp_path / "nothing.tsv", tmp_path / "made"))
