"""The glasses that the shipped bundle draws on the shipped photographs, so that no change spoils them unseen.

The bounds lie well below what the bundle reached when it was made (its model card has the figures), and well above what
smears, faint marks or the former bundle reached.
"""

from pathlib import Path
from typing import Any

import pytest

from flows.demo.edit_demo import PHOTOGRAPHS
from flows.evaluation.evaluate import evaluate
from flows.settings import EvaluateSettings

EVALUATOR = Path(__file__).parents[3] / "support" / "evaluator" / "eyeglasses.tflite"
WEARERS = 5


def measured(destination: Path, *, grey_copies: bool = False) -> dict[str, Any]:
    settings = EvaluateSettings(
        faces=[str(PHOTOGRAPHS / "photographs.tsv")],
        evaluator=str(EVALUATOR),
        destination=str(destination),
        split="all",
        find="largest",
        pages=0,
        grey_copies=grey_copies,
    )
    groups: dict[str, Any] = evaluate(settings)["groups"]
    return groups


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    whole: dict[str, Any] = measured(tmp_path_factory.mktemp("evaluation"))["all"]
    return whole


def test_the_evaluator_sees_glasses_on_edited_faces_and_none_before(figures: dict[str, Any]) -> None:
    assert figures["seen_original"]["value"] < 0.15
    assert figures["seen_result"]["value"] > 0.7
    assert figures["seen_result"]["value"] > figures["seen_unedited"]["value"] + 0.5


def test_the_eyes_stay_as_sharp_as_those_of_real_wearers(figures: dict[str, Any]) -> None:
    assert 0.8 < figures["sharpness_result"]["value"] < 1.3
    assert figures["sharpness_result"]["value"] > figures["sharpness_original"]["value"]


def test_nothing_changes_outside_the_edit_mask(figures: dict[str, Any]) -> None:
    assert figures["largest_outside"]["value"] == 0


def test_bare_faces_are_edited_and_wearers_left_alone(figures: dict[str, Any]) -> None:
    assert figures["edited"]["value"] > 0.9
    assert figures["wearers_edited"]["faces"] == WEARERS
    assert figures["wearers_edited"]["value"] <= 0.2


# Every photograph once more; that grey ones stay grey is proven with the edit's tests.
@pytest.mark.long
def test_grey_photographs_are_edited_as_coloured_ones_are(tmp_path: Path) -> None:
    groups = measured(tmp_path, grey_copies=True)
    assert groups["grey"]["edited"]["value"] > 0.85
    assert groups["grey"]["seen_result"]["value"] > 0.7
