"""Which weights are measured, and on what."""

import shutil
from pathlib import Path

from flows.sweep.measure import calls, spec_of
from flows.sweep.plan import Places, SweepPlan
from tests.support.finished_sweep import plan_at


def test_the_start_and_each_trial_with_weights_are_measured_alike(finished: SweepPlan) -> None:
    todo = list(calls(finished))
    places = [finished.store.url + place for place in ("/start", "/trials/000", "/trials/001", "/trials/002")]
    assert [call["place"] for call in todo] == places, "the last trial failed before it had any"
    assert [call["bundle"] for call in todo] == [
        finished.places.bundle,
        *(f"{at}/bundle" for at in places[1:]),
    ]
    assert len({(call["spec"], call["device"], call["threads"]) for call in todo}) == 1


def test_trials_that_search_the_dataset_are_measured_on_one_of_them(places: Places, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(places.dataset, other)
    plan = plan_at(str(tmp_path / "sweep"), places, f"dataset={other},{places.dataset}")
    assert {trial.settings.dataset for trial in plan.known} == {str(other), places.dataset}
    assert spec_of(plan).dataset == str(other)
