"""A process is killed while it writes files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.storage import open_store

WRITER = """
import sys
from flows.storage import open_store
store = open_store(sys.argv[1])
while True:
    for letter in b"abc":
        store.put("file", bytes([letter]) * 3_000_000)
        print(letter, flush=True)
"""


@pytest.mark.fault
def test_a_killed_writer_leaves_whole_files(tmp_path: Path) -> None:
    store, debris = open_store(str(tmp_path / "store")), 0
    for number in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, store.url], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.003 * number)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        data = store.get("file").data
        assert data in (b"a" * 3_000_000, b"b" * 3_000_000, b"c" * 3_000_000)
        assert [info.key for info in store.list()] == ["file"]
        debris += len(os.listdir(tmp_path / "store")) - 1
    print(f"{debris} temporary files left by 4 kills, none of them listed")
