"""What is replaced in Ray's start: waits that are too short for a busy machine, and the client's server."""

import inspect
from pathlib import Path

import pytest
from ray._private import node, services
from ray.scripts import scripts

from infra.local.ray_start import patch_client_server, patch_helper_wait, patch_node_wait


def test_a_node_is_asked_for_until_it_has_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([RuntimeError("not there"), RuntimeError("not there"), {"node_id": "abc"}])

    def get_node(gcs_address: str, node_id: str) -> dict[str, str]:
        answer = next(answers)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    monkeypatch.setattr(services, "get_node", get_node)
    patch_node_wait()
    assert services.get_node("127.0.0.1:1", "abc") == {"node_id": "abc"}


def test_ray_asks_with_the_function_that_is_replaced() -> None:
    source = inspect.getsource(node.Node)
    assert "services.get_node(" in source
    assert "except RuntimeError" in source


def test_ray_starts_its_clients_server_only_if_its_dependencies_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scripts, "get_ray_client_dependency_error", scripts.get_ray_client_dependency_error)
    patch_client_server()
    assert scripts.get_ray_client_dependency_error() is not None
    assert "has_ray_client = get_ray_client_dependency_error() is None" in inspect.getsource(scripts)


def test_a_node_process_finds_the_port_of_its_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[dict[str, object]] = []
    signature = inspect.signature(services.start_raylet)

    def start_raylet(*args: object, **options: object) -> None:
        assert (tmp_path / f"dashboard_agent_listen_port_{node_id}").read_text() == "7002"
        started.append(options)

    start_raylet.__signature__ = signature  # type: ignore[attr-defined]
    monkeypatch.setattr(services, "start_raylet", start_raylet)
    patch_helper_wait()
    node_id = "ab" * 28
    given = dict.fromkeys(signature.parameters, 0) | {"node_id": node_id, "session_dir": str(tmp_path)}
    services.start_raylet(**given | {"dashboard_agent_listen_port": 7002})
    assert started
