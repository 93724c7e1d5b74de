"""What a sweep takes over from an earlier one."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from attgan.errors import UserError
from flows.sweep.driver import SweepDriver
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.space import warm_start
from tests.support.finished_sweep import plan_at

LOG = logging.getLogger("test")
SEARCH = {"search": "optuna", "trials": 3, "seed": 5}


def plan_after(earlier: str, folder: Path, places: Places, space: str, **more: Any) -> SweepPlan:
    return plan_at(str(folder), places, space, **SEARCH, **more, warm_start=earlier)


def first_suggestion(plan: SweepPlan) -> dict[str, Any]:
    driver = SweepDriver(plan, lambda event: None, lambda: None)
    changes: dict[str, Any] = next(driver.calls())["order"].trial.changes
    return changes


def test_the_results_within_the_space_are_copied_and_stay_when_the_sweep_resumes(
    finished: SweepPlan, places: Places, tmp_path: Path
) -> None:
    earlier = shutil.copytree(finished.store.url, tmp_path / "earlier")
    space = "lambda_reconstruction=log:1:20"
    plan = plan_after(str(earlier), tmp_path / "new", places, space)
    warm_start.write(plan, LOG)
    taken = warm_start.read(plan.store)
    assert [one["changes"] for one in taken] == [
        {"lambda_reconstruction": 1.0},
        {"lambda_reconstruction": 10.0},
    ]
    shutil.rmtree(earlier)
    again = plan_after(str(earlier), tmp_path / "new", places, space)
    warm_start.write(again, LOG)
    assert warm_start.read(again.store) == taken
    assert first_suggestion(again) == first_suggestion(plan)


def test_a_trial_that_diverged_is_no_result_to_begin_with(
    finished: SweepPlan, places: Places, tmp_path: Path
) -> None:
    earlier = shutil.copytree(finished.store.url, tmp_path / "earlier")
    record = json.loads((earlier / "trials/001/trial.json").read_text())
    (earlier / "trials/001/trial.json").write_text(json.dumps(record | {"state": "diverged"}))
    plan = plan_after(str(earlier), tmp_path / "new", places, "lambda_reconstruction=log:1:20")
    warm_start.write(plan, LOG)
    assert [one["changes"] for one in warm_start.read(plan.store)] == [{"lambda_reconstruction": 1.0}]


@pytest.mark.parametrize("there", [True, False], ids=["a sweep over other settings", "no sweep"])
def test_a_start_that_is_of_no_use_is_refused(
    finished: SweepPlan, places: Places, tmp_path: Path, there: bool
) -> None:
    (tmp_path / "empty").mkdir()
    earlier = finished.store.url if there else str(tmp_path / "empty")
    plan = plan_after(earlier, tmp_path / "new", places, "freeze_d=0,1,2,3")
    with pytest.raises(UserError) as refusal:
        warm_start.write(plan, LOG)
    assert refusal.value.code == ("warm-start-elsewhere" if there else "warm-start-missing")
