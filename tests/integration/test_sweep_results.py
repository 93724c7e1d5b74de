"""What a sweep shows and leaves, with real Prefect, Ray and S3 servers; its trials have been run before."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter

from flows.runtime import cluster
from flows.runtime.running import run_from_terminal
from flows.storage.bundles import inspect
from flows.sweep.evaluator import measure_all
from flows.sweep.leaderboard import show_artifacts
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.progress import SweepWatch, TrialEvent
from flows.sweep.results import finish
from tests.support.finished_sweep import make_places, plan_at, run_all_but_the_last

pytestmark = [pytest.mark.stack, pytest.mark.long]


@pytest.fixture
def plan(stack: dict[str, str], fresh_bucket: Callable[[], str], tmp_path: Path) -> SweepPlan:
    """A sweep in a bucket, of two trials, of which one has finished and one failed."""
    plan = plan_at(f"s3://{fresh_bucket()}/sweep", make_places(tmp_path), "lambda_reconstruction=1,50")
    run_all_but_the_last(plan)
    return plan


@flow(name="sweep-results", task_runner=cluster.task_runner())
def show_and_finish(url: str, places: dict[str, str]) -> dict[str, Any]:
    log = get_run_logger()
    plan = plan_at(url, Places(**places), "lambda_reconstruction=1,50")
    watch = SweepWatch(plan, log)
    for step, quality in ((0, 0.9), (2, 0.25), (4, 0.5)):
        watch.event(TrialEvent(0, "running", step, 4, {"quality": quality}))
    watch.event(TrialEvent(1, "failed", note="RuntimeError: no luck"))
    watch.event(TrialEvent(0, "finished", 4, 4, {"quality": 0.5}))
    watch.end()
    measure_all(plan, log)
    result = finish(plan, log, seconds=1, reason="all 2 trials are done")
    show_artifacts(result)
    return result


def artifacts_of_the_last_run() -> dict[str, list[Any]]:
    async def read() -> dict[str, list[Any]]:
        async with get_client() as client:
            runs = await client.read_flow_runs(sort="START_TIME_DESC", limit=1)
            only = FlowRunFilter.model_validate({"id": {"any_": [runs[0].id]}})
            found: dict[str, list[Any]] = {}
            for artifact in await client.read_artifacts(
                artifact_filter=ArtifactFilter(), flow_run_filter=only
            ):
                found.setdefault(str(artifact.key), []).append(artifact)
            return found

    return asyncio.run(read())


def test_a_sweep_is_watched_measured_and_compared_on_s3(plan: SweepPlan) -> None:
    places = {name: getattr(plan.places, name) for name in ("dataset", "bundle", "evaluator")}
    result = run_from_terminal(show_and_finish, url=plan.store.url, places=places)

    artifacts = artifacts_of_the_last_run()
    assert {key: len(found) for key, found in artifacts.items()} == dict.fromkeys(
        (
            "sweep-progress",
            "sweep-so-far",
            "sweep-best-so-far",
            "sweep-measured",
            "sweep-leaderboard",
            "sweep-result",
            "sweep-curves",
            "sweep-faces",
        ),
        1,
    ), "a newer one takes the place of an older one"
    progress = artifacts["sweep-progress"][0]
    assert (progress.data, progress.description) == (100, "2 of 2 trials have ended: 1 finished, 1 failed")
    rows = json.loads(artifacts["sweep-so-far"][0].data)
    assert [(row["trial"], row["state"], row["quality"]) for row in rows] == [
        ("000", "finished", "0.5"),
        ("001", "failed", "–"),
    ]
    assert "data:image/jpeg;base64," in artifacts["sweep-best-so-far"][0].data, "its newest grid"
    assert artifacts["sweep-measured"][0].data == 100
    assert json.loads(artifacts["sweep-leaderboard"][0].data) == result["leaderboard"]
    assert "data:image/png;base64," in artifacts["sweep-curves"][0].data

    assert [(row["trial"], row["rank"]) for row in result["leaderboard"]] == [
        ("start", "–"),
        ("000", "1"),
        ("001", "–"),
    ]
    assert result["best"]["test"]["faces"] == result["start"]["test"]["faces"] == 5
    keys = {info.key for info in plan.store.list()}
    expected = {"leaderboard.parquet", "curves.png", "faces.jpg", "report.json"}
    assert expected | {"tensorboard/000/events.out.tfevents.0.attgan", "start/measures.json"} <= keys
    assert inspect(result["bundle"]).digest == result["digest"]
