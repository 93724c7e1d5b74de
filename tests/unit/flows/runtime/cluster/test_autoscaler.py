"""What an autoscaler may add, by its configuration."""

import pytest

from attgan.errors import UserError
from flows.runtime.cluster.autoscaler import Autoscaler, NodeType, Size, limits_of
from flows.runtime.cluster.capacity import Resources, refuse_impossible

CPU, GPU = NodeType("cpu", Size(4, 0), 3), NodeType("gpu", Size(8, 2), 1)
BOTH = Autoscaler((CPU, GPU), most=3)
NOTHING = Resources(1, 0, 0)


@pytest.mark.parametrize(
    ("node", "task", "tasks"),
    [
        (Size(4, 0), Size(1, 0), 4),
        (Size(3, 0), Size(2, 0), 1),
        (Size(0.3, 0), Size(0.1, 0), 3),
        (Size(8, 2), Size(1, 0.5), 4),
        # A task's share is of one GPU, so two of 0.4 are all that one GPU takes.
        (Size(8, 2), Size(1, 0.4), 4),
        (Size(8, 0), Size(1, 0.5), 0),
        (Size(1, 2), Size(2, 1), 0),
    ],
)
def test_a_node_runs_as_many_tasks_as_fit(node: Size, task: Size, tasks: int) -> None:
    assert node.tasks(task) == tasks


def test_workers_count_for_their_type_and_for_all_types() -> None:
    assert BOTH.addable([]) == {CPU: 3, GPU: 1}
    assert BOTH.addable([Size(8, 2)]) == {CPU: 2, GPU: 0}
    assert BOTH.addable([Size(4, 0)] * 3) == {CPU: 0, GPU: 0}
    assert BOTH.more_tasks([], Size(1, 0)) == 8 + 4 + 4
    assert BOTH.more_tasks([Size(4, 0)], Size(1, 1)) == 2


def test_the_limits_are_those_of_the_configuration() -> None:
    config = {
        "max_workers": 5,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "max_workers": 0},
            "cpu": {"resources": {"CPU": 4}, "max_workers": 3},
            "any number": {"resources": {"CPU": 8, "GPU": 1}},
            "none": {"resources": {"CPU": 8}, "max_workers": 0},
        },
    }
    assert limits_of(config) == Autoscaler((CPU, NodeType("any number", Size(8, 1), 5)), most=5)
    assert limits_of(config | {"available_node_types": {"head": {}}}) is None
    unreadable = limits_of({})
    assert unreadable is not None
    assert not unreadable.is_known


@pytest.mark.parametrize(
    ("task", "workers", "scaler", "code"),
    [
        (Size(1, 0), [], None, "cluster-too-small"),
        (Size(1, 4), [], BOTH, "node-type-missing"),
        (Size(99, 0), [], BOTH, "node-type-missing"),
        (Size(1, 1), [Size(4, 0)] * 3, BOTH, "autoscaler-at-limit"),
    ],
)
def test_a_task_that_can_never_run_is_refused(
    task: Size, workers: list[Size], scaler: Autoscaler | None, code: str
) -> None:
    with pytest.raises(UserError) as refusal:
        refuse_impossible(task, NOTHING, workers, scaler)
    assert refusal.value.code == code


@pytest.mark.parametrize("scaler", [BOTH, Autoscaler(is_known=False)])
def test_a_task_that_may_run_later_is_not_refused(scaler: Autoscaler) -> None:
    refuse_impossible(Size(8, 1), NOTHING, [], scaler)
