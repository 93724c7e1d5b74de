"""The size of a cluster that changes, and the wait for a node."""

import logging
from collections.abc import Callable

import pytest

from attgan.errors import UserError
from flows.runtime.cluster import capacity
from flows.runtime.cluster.autoscaler import Autoscaler, NodeType, Size

LOG = logging.getLogger("test")
HEAD, WORKER = (Size(0, 0), True), (Size(1, 0), False)


class Cluster:
    """A head without CPUs, some workers, and an autoscaler that may add up to three."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workers, self.seconds = 0, 0.0
        scaler = Autoscaler((NodeType("cpu", Size(1, 0), 3),), most=3)
        monkeypatch.setattr(capacity, "_nodes", lambda: [HEAD] + [WORKER] * self.workers)
        monkeypatch.setattr(capacity, "_autoscaler", lambda: scaler)
        monkeypatch.setattr(capacity.time, "monotonic", lambda: 1000 + self.seconds)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_what_may_be_added_counts_as_long_as_it_may(cluster: Cluster) -> None:
    assert (capacity.tasks_now(1, 0), capacity.tasks_at_most(1, 0)) == (0, 3)
    cluster.workers = 2
    assert (capacity.tasks_now(1, 0), capacity.tasks_at_most(1, 0)) == (2, 3)
    # Somebody has added nodes by hand.
    cluster.workers = 5
    assert (capacity.tasks_now(1, 0), capacity.tasks_at_most(1, 0)) == (5, 5)


def looks(cluster: Cluster, look: Callable[[], int], seconds: float) -> int:
    cluster.seconds += seconds
    return look()


def test_a_cluster_whose_nodes_are_taken_away_is_waited_for_with_a_deadline(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cluster.workers = 4
    look = capacity.watch(1, 0, node_timeout="1m", log=LOG)
    assert look() == 4
    cluster.workers = 0
    # Within two seconds it does not ask again.
    assert looks(cluster, look, 1) == 4
    for _ in range(3):
        looks(cluster, look, 19)
    assert len(caplog.records) == 3
    # A node comes back, and so the time begins anew.
    cluster.workers = 1
    assert looks(cluster, look, 10) == 3
    cluster.workers = 0
    looks(cluster, look, 10)
    looks(cluster, look, 59)
    with pytest.raises(UserError) as refusal:
        looks(cluster, look, 2)
    assert refusal.value.code == "node-timeout"
