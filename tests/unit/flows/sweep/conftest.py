from pathlib import Path
from typing import Any

import pytest

from flows.sweep.plan import Places, SweepPlan
from flows.sweep.prerequisites.evaluator import calls, measure_weights
from tests.support.finished_sweep import make_places, plan_at, run_all_but_the_last
from tests.support.quick_curves import quick_curves as quick_curves


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Data, start and evaluator of tiny sweeps."""
    return make_places(tmp_path_factory.mktemp("places"))


@pytest.fixture(scope="session")
def finished(places: Places, tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    """A plan whose four trials have ended, the last one by failing, and have been measured. Not to be written to."""
    plan = plan_at(str(tmp_path_factory.mktemp("sweep")), places)
    run_all_but_the_last(plan)
    for call in calls(plan):
        measure_weights(**call)
    return plan


@pytest.fixture
def options(tmp_path: Path, places: Places) -> dict[str, Any]:
    """A sweep of six small trials."""
    return {
        "dataset": places.dataset,
        "bundle": places.bundle,
        "evaluator": places.evaluator,
        "destination": str(tmp_path / "sweep"),
        "space": ["lambda_reconstruction=1,10,50", "freeze_d=0,4"],
        "batch_size": 8,
        "validation_images": 8,
    }
