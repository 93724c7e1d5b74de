"""What is replaced in the start of Ray: the wait for the node, too short for a busy machine; the client's server."""

import inspect

import pytest
from ray._private import node, services
from ray.scripts import scripts

from infra.local.ray_start import patch_client_server, patch_node_wait


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
