"""A sweep's own judge: trained apart from AttGAN, with its scores, and taken up again where it was stopped."""

from pathlib import Path

from attgan.evaluation.evaluator import load_evaluator
from attgan.models.folder import Folder
from flows.settings import SweepEvaluatorSettings
from flows.sweep.evaluator import evaluator_trial
from tests.support.data.drawn_dataset import write_drawn_dataset

NAMES = ["Eyeglasses", "Male"]


def settings(folder: Path, name: str) -> SweepEvaluatorSettings:
    return SweepEvaluatorSettings(
        dataset=str(folder / "faces"),
        destination=str(folder / name),
        size=64,
        attributes=NAMES,
        width=2,
        batch_size=8,
        min_steps=12,
        max_steps=12,
        cpus=1,
    )


def test_a_stopped_judge_goes_on_to_the_same_end(tmp_path: Path) -> None:
    write_drawn_dataset(tmp_path / "faces", 60)
    whole = evaluator_trial(settings(tmp_path, "whole"))
    asked = iter([False] * 5)
    stopped = evaluator_trial(settings(tmp_path, "parts"), should_stop=lambda: next(asked, True))
    assert (stopped["ended"], "digest" in stopped) == ("stopped", False)
    assert evaluator_trial(settings(tmp_path, "parts")) == whole
    judge = load_evaluator(Folder(str(tmp_path / "parts")))
    assert (judge.digest, judge.names, judge.size) == (whole["digest"], tuple(NAMES), 64)
    assert judge.scores is not None
    assert [score.attribute for score in judge.scores] == NAMES
    assert judge.faces == 9
    assert "51 rows" in judge.about
