"""The Compose file: accepted as it is, refused with one wrong field; nothing in it stands open."""

import copy
from typing import Any

import pytest

from attgan.version import VERSION
from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, Document, Unavailable, documents

CONTENT = documents(CLUSTER / "compose.yaml")[0]
SERVICES: dict[str, Any] = CONTENT["services"]


def problems(content: Document) -> list[str]:
    try:
        return cluster_files.problems_of_compose(content)
    except Unavailable as missing:
        pytest.skip(str(missing))


def test_file_is_accepted() -> None:
    assert problems(CONTENT) == []


@pytest.mark.parametrize(
    ("service", "field", "value"),
    [
        ("postgres", "imag", "postgres"),
        ("prefect", "ports", "127.0.0.1:4200:4200"),
        ("worker", "depends_on", {"prefect": {"condition": "service_runs"}}),
        ("ray-head", "shm_size", ["1gb"]),
    ],
)
def test_wrong_field_is_refused(service: str, field: str, value: Any) -> None:
    content = copy.deepcopy(CONTENT)
    content["services"][service][field] = value
    assert problems(content)


def test_ports_are_those_of_this_machine_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_secrets_come_from_the_environment() -> None:
    secret = {
        "POSTGRES_PASSWORD",
        "PREFECT_API_AUTH_STRING",
        "PREFECT_SERVER_API_AUTH_STRING",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "AWS_SECRET_ACCESS_KEY",
        "RAY_AUTH_TOKEN",
    }
    found = {
        (name, value)
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if name in secret
    }
    assert {name for name, _ in found} == secret
    assert all("${" in value for _, value in found)


@pytest.mark.parametrize("name", ["ray-head", "ray-worker", "ray-worker-gpu", "worker"])
def test_ray_always_asks_for_its_token(name: str) -> None:
    assert SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token"


def test_every_role_has_the_same_image() -> None:
    images = {name: service["image"] for name, service in SERVICES.items() if name != "postgres"}
    assert set(images.values()) == {f"attgan:{VERSION}"}


def test_the_database_is_asked_by_network() -> None:
    test = SERVICES["postgres"]["healthcheck"]["test"]
    assert test[test.index("-h") + 1] == "127.0.0.1"


def test_runs_have_time_to_stop() -> None:
    worker = SERVICES["worker"]
    assert worker["command"][0] == "prefect-worker"
    assert int(worker["stop_grace_period"].removesuffix("s")) > cluster_files.SECONDS_FOR_RUNS


def test_the_worker_is_on_the_node_of_the_head() -> None:
    worker, head = SERVICES["worker"], SERVICES["ray-head"]
    assert {worker[name] for name in ("network_mode", "pid", "ipc")} == {"service:ray-head"}
    assert worker["volumes"] == head["volumes"]
