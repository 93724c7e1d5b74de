"""A Ray cluster that is lost under a driver, and another one that is started at its address."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.local import lifecycle
from infra.local.environment import inherited
from tests.support.servers.servers import Servers
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.long]

DRIVER = """
import ray, time
from flows.runtime.cluster import connection
from flows.runtime.cluster.watch import ClusterLost, cluster_watch

@ray.remote(num_cpus=1)
def work():
    time.sleep(3600)

connection.connect_ray()
pending = [work.remote() for _ in range(4)]
with cluster_watch() as look:
    print("waiting", flush=True)
    try:
        while True:
            look()
            ray.wait(pending, timeout=0.5)
    except ClusterLost as lost:
        raise SystemExit(str(lost))
"""


def test_a_driver_whose_cluster_was_restarted_ends(tmp_path: Path) -> None:
    """Left alone it would wait for ever, and tasks of its would take the new cluster's CPUs."""
    options = {"cpus": 2, "gpus": 0, "dashboard": False, "report": lambda line: None}
    with lifecycle.running(tmp_path / "stack", ("ray",), **options) as variables:
        servers = Servers(tmp_path / "stack", variables)
        log = tmp_path / "log"
        with log.open("wb") as output:
            driver = subprocess.Popen(
                [sys.executable, "-c", DRIVER], env=inherited() | variables, stdout=output, stderr=output
            )
        try:
            wait_until(lambda: "waiting" in log.read_text(), log.read_text)
            servers.kill("ray")
            servers.start("ray")
            assert driver.wait(LIMIT) == 1
        finally:
            driver.kill()
            driver.wait()
        line = f"the Ray cluster at {variables['RAY_ADDRESS']} was restarted; the same command resumes"
        assert log.read_text().strip().splitlines()[-1] == line
