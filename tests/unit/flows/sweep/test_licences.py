"""A sweep says on what terms its weights may be used."""

from dataclasses import replace
from pathlib import Path

from attgan.evaluation.evaluator import save_evaluator
from attgan.models.folder import Folder
from flows.storage.bundles import inspect
from flows.sweep.licences import licence_lines
from flows.sweep.plan import Places
from flows.training.evaluators import open_evaluator


def test_the_starting_bundles_licence_and_another_one_of_the_judge(places: Places, tmp_path: Path) -> None:
    assert places.bundle is not None
    assert places.judge is not None
    start = f"starts with the bundle {places.bundle} ({inspect(places.bundle).digest[:16]}): made for a test"
    assert licence_lines(places) == [start], "the judge has none"
    for licence, lines in (("made for a test", 0), ("for study only", 1)):
        judge = replace(open_evaluator(places.judge), licence=licence)
        save_evaluator(Folder(tmp_path / "judge"), judge)
        said = [f"edits are scored by {tmp_path / 'judge'} ({judge.digest[:16]}): {licence}"]
        assert licence_lines(replace(places, judge=str(tmp_path / "judge"))) == [start, *said[:lines]]
    assert licence_lines(replace(places, bundle=None)) == []
