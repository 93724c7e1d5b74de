"""A process that ends while it is looked at is no error."""

import subprocess
import sys

import psutil

from tests.support.processes import answers, find_processes, kill_all


def test_a_process_that_has_ended_answers_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        found = find_processes(lambda one: one.ppid() == psutil.Process().pid and "input()" in one.cmdline())
        assert found == [process]
        kill_all(found)
    assert answers(psutil.Process.name, [process, psutil.Process()]) == [psutil.Process().name()]
    kill_all(found)
