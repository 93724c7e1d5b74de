"""A sweep loses a node, runs out of time, or has trials that cannot end well."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from attgan.models import load_bundle
from flows.storage import Store, open_store
from flows.sweep.plan import SweepPlan, Trial
from flows.sweep.records import Record, kept_weights, read_decisions, read_record, read_validations
from flows.sweep.results.progress import TrialEvent
from flows.training.trial import train_trial
from tests.support import small_sweep
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.processes import ray_tasks
from tests.support.servers.two_nodes import two_nodes
from tests.support.small_sweep import run_small, small_plan
from tests.support.waiting import LIMIT, wait_until

# Processes begin several times, and each loads torch: on a machine with other work that takes minutes.
pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(1800)]

# So many steps that a trial still runs when it is killed.
LONG: dict[str, Any] = {
    "max_steps": 700,
    "checkpoint_every": 100,
    "space": ["lambda_reconstruction=1,100"],
}
BUNDLE = ("metrics.jsonl", "bundle/generator.safetensors", "bundle/discriminator.safetensors")

Results = dict[str, bytes]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("dataset")
    write_drawn_dataset(folder, 60)
    return str(folder)


@pytest.fixture(scope="module")
def many_faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset with long epochs, so that long trials are not validated all the time."""
    folder = tmp_path_factory.mktemp("many")
    write_drawn_dataset(folder, 400)
    return str(folder)


@pytest.fixture(scope="module")
def undisturbed(many_faces: str, tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What the trials of LONG come to when each is trained by itself and nothing happens to it."""
    threads = torch.get_num_threads()
    plan = small_plan(many_faces, str(tmp_path_factory.mktemp("undisturbed")), **LONG)
    try:
        for trial in plan.known:
            train_trial(trial.settings)
    finally:
        torch.set_num_threads(threads)
    return [results(trial) for trial in plan.known]


def results(trial: Trial) -> Results:
    return {name: store_of(trial).get(name).data for name in BUNDLE}


def store_of(trial: Trial) -> Store:
    return open_store(trial.url)


def record_of(trial: Trial) -> Record:
    record = read_record(store_of(trial))
    assert record is not None, f"trial {trial.name} has no record"
    return record


def states(plan: SweepPlan) -> list[str]:
    return [record_of(trial)["state"] for trial in plan.known]


def step_of(trial: Trial) -> int:
    try:
        return int(json.loads(store_of(trial).get("progress.json").data).get("step", 0))
    except FileNotFoundError:
        return 0


def wait_until_free(stack: dict[str, str]) -> None:
    """Until no trial runs, and nothing of the cluster is held."""
    wait_until(lambda: not ray_tasks(stack["RAY_AUTH_TOKEN_PATH"], "trial"), "the trials to end")
    wait_until(lambda: ray.available_resources().get("CPU") == 2, "what they held to be free")


def test_trials_that_cannot_end_well_are_on_record_and_the_others_finish(
    stack: dict[str, str], dataset: str, tmp_path: Path
) -> None:
    space = ["batch_size=4,4000", "explode_above=1e6,1e-6,2e6"]
    plan = small_plan(dataset, str(tmp_path / "sweep"), space=space, trials=4, attempts=2, max_steps=20)
    broken = Path(plan.known[2].url) / "checkpoints"
    broken.parent.mkdir(parents=True)
    # Below a file no state can be kept. That is no mistake in the settings, and is tried again.
    broken.touch()
    events: list[TrialEvent] = []
    ending = run_small(plan, on_event=events.append)
    assert not ending.interrupted
    assert states(plan) == ["finished", "diverged", "failed", "failed"]
    records = [record_of(trial) for trial in plan.known]
    assert "exploded" in records[1]["reason"]
    assert "checkpoints" in records[2]["reason"]
    assert "--batch-size 4000" in records[3]["reason"]
    assert [record["attempts"] for record in records] == [1, 1, 2, 1]
    assert {event.number: event.state for event in events} == dict(enumerate(states(plan)))

    # The same call tries what may end better now, and nothing else.
    broken.unlink()
    events.clear()
    run_small(plan, on_event=events.append)
    assert {event.number for event in events} == {2}
    assert states(plan) == ["finished", "diverged", "finished", "failed"]


def test_a_sweep_whose_time_is_over_while_its_processes_begin_ends(
    stack: dict[str, str], dataset: str, tmp_path: Path
) -> None:
    plan = small_plan(dataset, str(tmp_path / "sweep"), max_steps=5000, time_limit="1.5s")
    ending = run_small(plan)
    assert (ending.reason, ending.interrupted) == ("its --time-limit 1.5s is over", False)
    wait_until_free(stack)


def test_a_trial_behind_one_of_an_earlier_command_is_stopped_early_and_its_best_is_kept(
    stack: dict[str, str], dataset: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "dataset": dataset,
        "destination": str(tmp_path / "sweep"),
        "space": ["learning_rate=1e-3,1e-9"],
        "metric": "reconstruction",
        "scheduler": "asha",
        "grace_steps": 12,
    }
    run_small(small_plan(**options, trials=1))
    plan = small_plan(**options, trials=2)
    events: list[TrialEvent] = []
    run_small(plan, on_event=events.append)
    bad = plan.known[1]
    assert states(plan) == ["finished", "stopped_early"]
    assert {event.number for event in events} == {1}
    assert events[-1].state == "stopped_early"
    assert [row["step"] for row in read_validations(store_of(bad))] == [0, 12]
    assert [(one["step"], one["stop"]) for one in read_decisions(store_of(bad))] == [(0, False), (12, True)]
    assert "at step 12 is behind the other trials" in record_of(bad)["reason"]
    kept = kept_weights(store_of(bad))
    assert kept is not None
    filesystem, path = store_of(bad).filesystem()
    assert load_bundle(f"{path}/{kept.path}", filesystem).discriminator is not None


def test_a_trial_on_a_node_that_is_lost_goes_on_elsewhere(
    stack: dict[str, str], fresh_bucket: Callable[[], str], many_faces: str, undisturbed: list[Results]
) -> None:
    bucket = f"s3://{fresh_bucket()}"
    for path in Path(many_faces).iterdir():
        open_store(f"{bucket}/dataset").put(path.name, path.read_bytes())
    options = LONG | {"dataset": f"{bucket}/dataset", "destination": f"{bucket}/sweep"}
    plan = small_plan(**options)
    with two_nodes(stack) as nodes:
        process = nodes.start_python(small_sweep.__file__, json.dumps(options))
        # Each node has one CPU, and with it one of the trials.
        wait_until(lambda: min(map(step_of, plan.known)) > 20, nodes.log.read_text, every=0.05)
        nodes.kill("worker")
        assert max(map(step_of, plan.known)) < LONG["max_steps"]
        assert process.wait(LIMIT) == 0, nodes.log.read_text()
    assert states(plan) == ["finished"] * 2
    assert sorted(record_of(trial)["attempts"] for trial in plan.known) == [1, 2]
    assert [results(trial) for trial in plan.known] == undisturbed
