"""Reports of tasks to their flow, through the head of a real cluster."""

import pytest

from flows.runtime import internals
from flows.runtime.cluster import connection
from flows.runtime.live_reports import reporting, reports_below
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack


def report_until_seen() -> None:
    """A task that is at work until the flow has seen its second report."""
    done = 1
    with reporting("tasks of 7", lambda: {"done": done}):
        for done in (1, 2):
            seen = f"seen {done}"
            wait_until(lambda seen=seen: internals.values_below(seen), seen)  # type: ignore[misc]


def test_a_flow_sees_what_a_task_has_done_while_it_is_at_work_and_leaves_nothing(
    stack: dict[str, str],
) -> None:
    import ray

    connection.connect_ray()
    internals.put_value("tasks of 6", b'"of an earlier flow"')
    with reports_below("tasks of ") as reports:
        task = ray.remote(num_cpus=1)(report_until_seen).remote()
        for done in (1, 2):
            wait_until(lambda done=done: reports() == {"7": {"done": done}}, f"report {done}")  # type: ignore[misc]
            internals.put_value(f"seen {done}", b"1")
        ray.get(task)
    internals.remove_values("seen ")
    assert internals.values_below("tasks of ") == {}


def test_outside_of_a_cluster_nothing_is_reported_and_nothing_fails() -> None:
    with reporting("a", lambda: {}), reports_below("a") as reports:
        assert reports() == {}
