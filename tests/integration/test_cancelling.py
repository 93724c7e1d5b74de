"""A run is cancelled on the Prefect server, as the UI does: the work stops, the run ends cancelled, nothing is lost."""

import json
import logging
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from flows.runtime.cancelling import RunCancelled, cancel_requests, how_to_cancel
from flows.runtime.running import refusals_as_states, run_from_terminal
from flows.settings import TrainSettings
from flows.storage import Store, open_store
from flows.training.flow import train
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack
LOG = logging.getLogger(__name__)


def cancel(run: UUID) -> None:
    """What the UI's button sends."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelling())


def step(run: Store) -> int:
    try:
        return int(json.loads(run.get("progress.json").data).get("step", 0))
    except FileNotFoundError:
        return 0


def cancel_as_printed(run: UUID) -> None:
    """What a run that a terminal started says, in a shell without any variable and in another folder."""
    subprocess.run(how_to_cancel(run), shell=True, env={"PATH": os.defpath}, cwd="/", check=True)


def wait_for_cancelling(run: UUID) -> None:
    """Work that goes on until the run named is cancelled, by itself."""
    with cancel_requests(LOG) as cancelled:
        assert cancelled() is None
        cancel_as_printed(run)
        wait_until(cancelled, "the server to say that it is cancelled")
        raise RunCancelled(f"{cancelled()}, as wished")


@flow
@refusals_as_states
def below(run: str) -> None:
    wait_for_cancelling(UUID(run))


@flow
@refusals_as_states
def above() -> None:
    below(runtime.flow_run.id, return_state=True)
    wait_for_cancelling(UUID(runtime.flow_run.id))


def test_a_run_ends_cancelled_and_so_does_one_below_it(stack: dict[str, str]) -> None:
    with pytest.raises(RunCancelled, match="was cancelled in Prefect, as wished"):
        run_from_terminal(above)
    with get_client(sync_client=True) as client:
        both = FlowFilter(name=FlowFilterName(any_=["above", "below"]))
        states = [run.state.name for run in client.read_flow_runs(flow_filter=both) if run.state]
    assert states == ["Cancelled", "Cancelled"]


def test_outside_a_run_nobody_can_cancel() -> None:
    with cancel_requests(LOG) as cancelled:
        assert cancelled() is None


def test_a_training_stops_after_a_checkpoint_and_goes_on_another_time(
    stack: dict[str, str], tmp_path: Path, fresh_bucket: Callable[[], str]
) -> None:
    write_drawn_dataset(tmp_path, 40)
    run = open_store(f"s3://{fresh_bucket()}/run")
    settings = TrainSettings.model_validate(
        {
            "dataset": str(tmp_path),
            "destination": run.url,
            "size": 64,
            "width": 2,
            "attributes": ["Eyeglasses"],
            "strategy": "permutation",
            "batch_size": 8,
            "epochs": 1000,
            "max_steps": 2000,
            "patience": 0,
            "cpus": 1,
        }
    )

    def the_run() -> FlowRun:
        with get_client(sync_client=True) as client:
            named = FlowRunFilter(name=FlowRunFilterName(any_=[f"train {run.url}"]))
            (seen,) = client.read_flow_runs(flow_run_filter=named)
        return seen

    def cancel_soon() -> None:
        wait_until(lambda: step(run) > 2, "some steps of the training")
        cancel(the_run().id)

    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(cancel_soon)
        with pytest.raises(RunCancelled) as caught:
            run_from_terminal(train, settings=settings)
        asked.result()
    ended = the_run().state
    assert ended is not None
    assert ended.name == "Cancelled"
    newest = json.loads(run.get("checkpoints/latest.json").data)["checkpoints"][0]["step"]
    line = f"was cancelled in Prefect; stopped after step {newest:,}; the same command resumes from the last checkpoint"
    assert str(caught.value).endswith(line)
