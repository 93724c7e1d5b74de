"""The Grafana board's queries, asked of a real Prometheus that scraped a real run."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from flows.edit.flow import edit
from flows.runtime.running import run_from_terminal
from flows.settings import EditSettings, InitSettings
from flows.training.weights import init
from infra.local.ports import free_ports
from tests.support.board import queries
from tests.support.images.pictures import noise, saved
from tests.support.waiting import wait_until

PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.long,
    pytest.mark.skipif(
        PROMETHEUS is None, reason="no prometheus is installed (Debian: apt-get install prometheus)"
    ),
]


@contextlib.contextmanager
def prometheus(folder: Path, port: int, scraped: int) -> Iterator[str]:
    """A Prometheus that scrapes a port of this machine every second; yields its URL."""
    jobs = [{"job_name": "attgan", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}]
    times = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    (folder / "prometheus.yml").write_text(json.dumps({"global": times, "scrape_configs": jobs}))
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    process = subprocess.Popen([str(PROMETHEUS), *(f"--{name}={value}" for name, value in options.items())])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: urlopen(f"{url}/-/ready").status == 200, "Prometheus")
        yield url
    finally:
        process.terminate()
        process.wait()


def ask(url: str, query: str, since: float) -> list[dict[str, Any]]:
    """The curves of a query since a time, as Grafana asks for them. An error of syntax is raised, as HTTP 400."""
    options = {"query": query, "start": since, "end": time.time(), "step": "250ms"}
    answer = json.load(urlopen(f"{url}/api/v1/query_range?{urlencode(options)}"))
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_every_query_of_the_board_has_data_after_a_run(stack: dict[str, str], tmp_path: Path) -> None:
    init(InitSettings(destination=str(tmp_path / "bundle"), image_size=64, width=4))
    (tmp_path / "in").mkdir()
    for i in range(20):
        (tmp_path / "in" / f"{i}.jpg").write_bytes(saved(noise(i)))
    ports = free_ports(["metrics", "prometheus"])
    settings = EditSettings(
        source=str(tmp_path / "in"),
        destination=str(tmp_path / "out"),
        bundle=str(tmp_path / "bundle"),
        faces="aligned",
        paste="whole",
        shard_size=1,
        # The metrics are there for ten seconds at least, so that Prometheus comes by several times.
        max_rate=2,
        metrics_port=ports["metrics"],
    )
    with prometheus(tmp_path, ports["prometheus"], ports["metrics"]) as url:
        started = time.time()
        run_from_terminal(edit, settings=settings)
        results = {query: ask(url, query, started) for query in queries()}
    assert [query for query, result in results.items() if not result] == []
