"""Metrics of a run, and the board that shows them."""

import logging
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.request import urlopen

import pytest

from attgan.errors import UserError
from flows.edit import metrics
from flows.edit.ledger import Summary
from flows.edit.run import EditRun
from flows.edit.run_counts import RunCounts
from flows.settings import EditSettings
from tests.support.board import queries

LOG = logging.getLogger("test")


def run(**options: Any) -> EditRun:
    settings = EditSettings.model_validate({"source": "/in", "destination": "/out"} | options)
    return EditRun.model_construct(run_id="r-1", settings=settings, inputs=10)


@pytest.fixture
def counts() -> RunCounts:
    counts = RunCounts(shards=2)
    seconds = {"fetch": 0.5}
    counts.finish(
        Summary(0, 0, {"edited": 3, "copied": 0, "skipped": 0, "failed": 1}, {}, 40, 30, seconds=seconds)
    )
    return counts


class Gateway(BaseHTTPRequestHandler):
    pushed: list[tuple[str, str]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.pushed.append((self.path, body))
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def gateway() -> Iterator[HTTPServer]:
    Gateway.pushed = []
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_metrics_are_served_while_the_run_is_at_work(
    counts: RunCounts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with metrics.exposed(run(metrics_port=0), counts, 2, LOG):
        [url] = re.findall(r"http://127\.0\.0\.1:\d+/metrics", caplog.text)
        page = urlopen(url).read().decode()
    with pytest.raises(OSError, match="refused"):
        urlopen(url)
    assert 'attgan_edit_images_total{run="r-1",status="edited"} 3.0' in page
    assert 'attgan_edit_shards{run="r-1",state="waiting"} 1.0' in page
    assert 'attgan_edit_images_left{run="r-1"} 4.0' in page
    used = {name for query in queries() for name in re.findall(r"attgan_\w+", query)}
    assert used <= set(re.findall(r"^(attgan_\w+)", page, re.MULTILINE))
    assert len(used) == 8


def test_metrics_are_pushed_at_the_end(counts: RunCounts, gateway: HTTPServer) -> None:
    url = f"http://127.0.0.1:{gateway.server_port}"
    with metrics.exposed(run(metrics_push=url), counts, 0, LOG):
        counts.finish(Summary(1, 0, {"edited": 6, "copied": 0, "skipped": 0, "failed": 0}, {}, 1, 1))
    path, body = Gateway.pushed[-1]
    assert path.endswith("/run/r-1")
    assert 'attgan_edit_images_total{run="r-1",status="edited"} 9.0' in body


def test_a_port_or_gateway_that_is_not_to_be_had_ends_no_run(
    counts: RunCounts, gateway: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = {"metrics_port": gateway.server_port, "metrics_push": "http://127.0.0.1:1"}
    with metrics.exposed(run(**nowhere), counts, 0, LOG):
        pass
    assert len(caplog.records) == 2


def test_a_password_is_neither_kept_nor_used(counts: RunCounts) -> None:
    asked = run(metrics_push="https://me:secret@host:9091")
    assert "secret" not in asked.settings.model_dump_json()
    with pytest.raises(UserError, match="metrics-push-password"), metrics.exposed(asked, counts, 0, LOG):
        pass
