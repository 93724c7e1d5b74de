"""The ends of task runs without a server or a flow; what a server makes of them: ``tests/faults/test_poison.py``."""

import logging
import uuid

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed

from flows.runtime import task_runs
from infra.local.ports import free_ports

LOG = logging.getLogger(__name__)


def test_a_server_that_is_away_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(task_runs, "_INTERVAL", 0.1)
    monkeypatch.setattr(task_runs, "_SETTLES", 0.5)
    (port,) = free_ports(["nobody"]).values()
    flow_run = FlowRun(flow_id=uuid.uuid4(), name="alone")
    with (
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}),
        FlowRunContext.model_construct(flow_run=flow_run),
        task_runs.closing(LOG) as over,
    ):
        over(uuid.uuid4(), Completed())
        over(uuid.uuid4(), Crashed(message="its process died"))
    told = [record.getMessage() for record in caplog.records if record.name == __name__]
    assert sum("the Prefect server does not answer" in line for line in told) == 1
    assert told[-1] == "the Prefect server may show tasks as running that are over"
