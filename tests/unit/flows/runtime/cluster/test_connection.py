"""The refusals of servers that a flow cannot use."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator

import prefect
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from attgan.errors import UserError
from flows.runtime.cluster.connection import require_prefect


@pytest.fixture
def server_of() -> Iterator[Callable[[str], str]]:
    """A function that starts a server which says that it has this version of Prefect, and returns its URL."""
    servers = []

    def start(version: str) -> str:
        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(version).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/api"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("version", [prefect.__version__, "99.0.0", f"{prefect.__version__}+own.build"])
def test_a_server_of_this_version_or_a_newer_one_is_accepted(
    server_of: Callable[[str], str], version: str
) -> None:
    url = server_of(version)
    with temporary_settings({PREFECT_API_URL: url}):
        assert require_prefect() == url


def test_an_older_server_is_refused(server_of: Callable[[str], str]) -> None:
    with (
        temporary_settings({PREFECT_API_URL: server_of("3.8.0")}),
        pytest.raises(UserError) as refusal,
    ):
        require_prefect()
    assert refusal.value.code == "prefect-server-older"
