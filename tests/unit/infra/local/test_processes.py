import os
import secrets
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from infra.local import processes
from tests.support.processes import answers
from tests.support.waiting import wait_until

# Starts a child in a session of its own, which starts a child that ignores SIGTERM; the middle one then ends.
FAMILY = """
import subprocess, sys
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
grandchild = deaf + "print('up', flush=True); time.sleep(3600)"
child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {grandchild!r}])"
subprocess.Popen([sys.executable, '-c', child], start_new_session=True)
import time; time.sleep(3600)
"""

# Leads a session and starts a child in it, which looks for the processes of that session.
LEADER = """
import subprocess, sys
from infra.local import processes
child = f'''
from infra.local import processes
leader = processes.{processes.current()!r}
print("members", len(processes.members(leader)))
print("found", len(processes.everything("no such mark", [leader])))
'''
subprocess.run([sys.executable, "-c", child], check=True)
"""


@pytest.fixture
def family(tmp_path):
    mark = secrets.token_hex(8)
    log = tmp_path / "log"
    environment = {**os.environ, processes.MARK: mark}
    leader = processes.launch([sys.executable, "-c", FAMILY], environment, log, tmp_path)
    wait_until(lambda: "up" in log.read_text(), "the family is up")
    yield mark, leader
    for process in processes.marked(mark):
        process.kill()


def test_every_process_is_found_also_orphans_in_other_sessions(family):
    mark, leader = family
    found = processes.everything(mark, [leader])
    assert leader.pid in {process.pid for process in found}
    assert len(found) == 2
    assert {process.pid for process in processes.members(leader)} == {leader.pid}


def test_all_end_within_their_grace_also_those_that_ignore_the_request(family):
    mark, leader = family
    found = processes.everything(mark, [leader])
    left = processes.end(
        lambda: processes.everything(mark, [leader]), {os.getsid(process.pid): 0.5 for process in found}
    )
    assert left == []
    assert not any(answers(lambda one: one.is_running() and one.status() != psutil.STATUS_ZOMBIE, found))
    assert not processes.exists(leader)


def test_what_a_process_has_started_is_found_without_its_mark_and_remembered_when_it_is_gone(tmp_path):
    child = "import time; time.sleep(3600)"
    leader = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    )
    started = processes.launch([sys.executable, "-c", leader], os.environ, tmp_path / "log", tmp_path)
    find = processes.offspring(started)
    found = wait_until(find, "the child")
    assert [process.cmdline()[-1] for process in found] == [child]
    psutil.Process(started.pid).kill()
    assert find() == found
    assert processes.end(find, {}) == []
    assert processes.offspring(started)() == []


def test_number_that_was_used_again_is_left_alone():
    with subprocess.Popen(["sleep", "3600"], start_new_session=True) as stranger:
        try:
            real = processes.Process(stranger.pid, psutil.Process(stranger.pid).create_time())
            recorded = replace(real, started=real.started - 3600)
            assert processes.exists(real)
            assert not processes.exists(recorded)
            assert processes.members(recorded) == []
            processes.end(lambda: processes.everything("no such mark", [recorded]), {})
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_neither_this_process_nor_its_ancestors_are_ever_among_them():
    # In a session of its own, since the one that runs the tests may be led from outside this PID namespace.
    answer = subprocess.run(
        [sys.executable, "-c", LEADER], start_new_session=True, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["members", "2", "found", "0"]
