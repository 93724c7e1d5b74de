import os
import socket

import pytest

from infra.local.ports import free_ports, is_free, listener


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_port_that_is_listened_on_is_taken_and_its_listener_named(host):
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert f"(process {os.getpid()})" in listener(port)
    assert is_free(port)
    assert listener(port) == ""


def test_free_ports_are_free_different_and_not_among_those_taken():
    first = free_ports(["a", "b", "c"])
    second = free_ports(["d", "e"], taken=first.values())
    assert list(first) == ["a", "b", "c"]
    assert len({*first.values(), *second.values()}) == 5
    assert all(is_free(port) for port in {**first, **second}.values())
