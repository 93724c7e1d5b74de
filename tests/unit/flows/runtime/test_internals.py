"""What is used of Ray and Prefect beyond their public interface is still there, and does what it is used for."""

import inspect
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.context import serialize_context
from prefect_ray import RayTaskRunner
from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient

from flows.runtime import internals
from flows.runtime.cluster.autoscaler import Autoscaler, NodeType, Size, limits_of
from flows.runtime.internals import autoscaling_config, next_dates, serialised_once


def test_ray_still_has_the_client_that_knows_its_cluster() -> None:
    # A restarted head, whose identifier differs, is the subject of tests/faults/test_cluster_faults.py.
    from ray._raylet import GcsClient

    assert callable(GcsClient)


def test_prefect_still_runs_a_task_on_ray_through_the_function_that_checks_the_node_first() -> None:
    assert isinstance(inspect.getattr_static(RayTaskRunner, "_run_prefect_task"), staticmethod)


def test_prefect_still_serialises_its_settings_by_the_method_that_keeps_them() -> None:
    usual = serialize_context()["settings_context"]
    with serialised_once():
        first, second = (serialize_context()["settings_context"] for _ in range(2))
    assert first is second
    assert first == usual


RESOURCE = {
    "metadata": {"name": "faces", "namespace": "work"},
    "spec": {
        "enableInTreeAutoscaling": True,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},
            "template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "2", "memory": "4Gi"}}}]}},
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpu",
                "minReplicas": 0,
                "maxReplicas": 4,
                "rayStartParams": {},
                "template": {
                    "spec": {
                        "containers": [
                            {"resources": {"limits": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}}}
                        ]
                    }
                },
            }
        ],
    },
}


def test_the_autoscaler_of_kuberay_is_described_by_its_resource(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "namespace").write_text("work")
    monkeypatch.setattr(internals, "_NAMESPACE", tmp_path / "namespace")
    monkeypatch.setenv("RAY_CLUSTER_NAME", "faces")
    asked: list[str] = []

    def get(self: KubernetesHttpApiClient, path: str) -> dict[str, Any]:
        asked.append(f"{self._namespace}/{path}")
        return RESOURCE

    monkeypatch.setattr(KubernetesHttpApiClient, "get", get)
    config = autoscaling_config(1)
    assert config is not None
    assert asked == ["work/rayclusters/faces"]
    limits = limits_of(config)
    assert limits == Autoscaler((NodeType("gpu", Size(8, 1), 4),), most=4)


def test_a_resource_that_may_not_be_read_leaves_the_limits_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(internals, "_NAMESPACE", tmp_path)
    monkeypatch.setenv("RAY_CLUSTER_NAME", "faces")
    (tmp_path / "namespace").write_text("work")
    monkeypatch.setattr(internals, "_NAMESPACE", tmp_path / "namespace")

    def get(self: KubernetesHttpApiClient, path: str) -> dict[str, Any]:
        raise OSError("403")

    monkeypatch.setattr(KubernetesHttpApiClient, "get", get)
    assert autoscaling_config(1) == {}


def test_the_next_dates_of_a_cron_expression_are_in_its_time_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    dates = next_dates(CronSchedule(cron="30 3 * * *", timezone="Europe/Berlin"), 3)
    assert [(date.astimezone(zone).hour, date.astimezone(zone).minute) for date in dates] == [(3, 30)] * 3
    days = [date.astimezone(zone).date() for date in dates]
    assert [later - earlier for earlier, later in itertools.pairwise(days)] == [timedelta(days=1)] * 2
    assert datetime.now(UTC) < dates[0] < datetime.now(UTC) + timedelta(days=1, hours=1)


def test_the_next_dates_of_an_interval_are_that_far_apart() -> None:
    first, second = next_dates(IntervalSchedule(interval=timedelta(hours=6)), 2)
    assert second - first == timedelta(hours=6)
