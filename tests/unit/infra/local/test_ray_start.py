"""Ray's own wait for the node that it starts, which is too short for a busy machine, is the one of ours."""

import inspect

import pytest
from ray._private import node, services

from infra.local.ray_start import patch_node_wait


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
