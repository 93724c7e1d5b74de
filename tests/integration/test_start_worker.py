"""Workers that are started before there is work for them."""

import os
import time
from pathlib import Path

import pytest

from flows.runtime.cluster import connection, tasks
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack


def note(folder: str) -> None:
    """Leave a file named after this process, and stay until the other one has, which needs another process so."""
    (Path(folder) / str(os.getpid())).touch()
    for _ in range(1800):
        if len(list(Path(folder).iterdir())) == 2:
            break
        time.sleep(0.1)


def test_each_is_a_process_of_its_own_and_nobody_waits(stack: dict[str, str], tmp_path: Path) -> None:
    connection.connect_ray()
    for _ in range(2):
        tasks.start_worker(note, str(tmp_path), cpus=1, gpus=0)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "two processes")
    pids = {int(path.name) for path in tmp_path.iterdir()}
    assert len(pids) == 2
    assert os.getpid() not in pids
