"""Starts the operating system processes of a stack, finds all of them, and ends exactly those.

Processes are found in three ways, because none is sufficient alone: by the session that each server leads (Ray's
processes leave their process group, but not the session); by the stack's mark in the environment, which every child
inherits (it survives a new session and the loss of our records); and by descent. The kernel reuses process numbers, so
a recorded number is only valid together with the start time of the process.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "ATTGAN_STACK"
# Seconds. The start time is computed from the wall clock, which may be adjusted.
_CLOCK_SLACK = 2.0


@dataclass(frozen=True)
class Process:
    """A process that leads its own session: its number and when it started (seconds since 1970)."""

    pid: int
    started: float


def current() -> Process:
    """The process that runs this code."""
    return Process(os.getpid(), psutil.Process().create_time())


def launch(command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> Process:
    """Start `command` in `folder` as the leader of a new session, with its output in `log`.

    Raises: OSError if the program cannot be executed.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Without a return code, the object would warn when it is garbage-collected while the server still runs.
    child.returncode = 0
    try:
        return Process(child.pid, psutil.Process(child.pid).create_time())
    except psutil.NoSuchProcess:
        return Process(child.pid, time.time())


def exists(process: Process) -> bool:
    """Whether this process still runs: not another one with the same number, and not a zombie."""
    try:
        found = psutil.Process(process.pid)
        return _same(found, process) and _runs(found)
    except psutil.NoSuchProcess:
        return False


def members(leader: Process) -> list[psutil.Process]:
    """The running processes of the session that `leader` was started to lead, itself included."""
    try:
        if not _same(psutil.Process(leader.pid), leader):
            # The number was reused, so this is another session.
            return []
    except psutil.NoSuchProcess:
        # The leader has ended. While the session has members, the kernel does not reuse its number.
        pass
    return [p for p in psutil.process_iter() if _session(p.pid) == leader.pid and _runs(p)]


def marked(mark: str) -> list[psutil.Process]:
    """The running processes of this user whose environment carries `mark`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and _runs(process):
                found.append(process)
    return found


def everything(mark: str, leaders: Iterable[Process]) -> list[psutil.Process]:
    """Every running process of a stack, except this process and its ancestors."""
    return _with_descendants({p for leader in leaders for p in members(leader)} | set(marked(mark)))


def offspring(leader: Process) -> Callable[[], list[psutil.Process]]:
    """A function that finds the processes that `leader` has started in other sessions.

    It also finds those whose parents have ended since an earlier call.
    """
    known: set[psutil.Process] = set()

    def find() -> list[psutil.Process]:
        own = members(leader)
        known.update(set(_with_descendants({*own, *known})) - set(own))
        return sorted((process for process in known if _runs(process)), key=lambda process: process.pid)

    return find


def end(
    find: Callable[[], list[psutil.Process]],
    graces: Mapping[int, float],
    limit: float = 60.0,
    usual: float = 5.0,
) -> list[int]:
    """Send SIGTERM to processes, kill those that do not end, and return the numbers of those that are left.

    `find` is called repeatedly, because processes are started and orphaned meanwhile. In a tree, only the topmost
    process receives the signal, because servers end their own children best. `graces` has the seconds that a session
    has to end, by its number; `usual` is for all others. After that the whole session is killed.
    """
    deadlines: dict[psutil.Process, float] = {}
    give_up = time.monotonic() + limit
    while found := find():
        now = time.monotonic()
        if now > give_up:
            break
        numbers = {process.pid for process in found}
        expired = {_session(p.pid) for p in found if deadlines.get(p, now) < now}
        for process in found:
            # The process may have ended meanwhile. psutil detects a number that was reused.
            with contextlib.suppress(psutil.Error):
                if _session(process.pid) in expired:
                    process.kill()
                elif process not in deadlines and process.ppid() not in numbers:
                    process.terminate()
                    deadlines[process] = now + graces.get(_session(process.pid), usual)
        time.sleep(0.05)
        for pid in numbers:
            with contextlib.suppress(OSError):
                # Reaps our own children.
                os.waitpid(pid, os.WNOHANG)
    return [process.pid for process in found]


def _with_descendants(found: set[psutil.Process]) -> list[psutil.Process]:
    for process in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(child for child in process.children(recursive=True) if _runs(child))
    return sorted(found - _ancestry(), key=lambda process: process.pid)


def _ancestry() -> set[psutil.Process]:
    own = psutil.Process()
    while True:
        # If an ancestor ends meanwhile, another process becomes the parent, so try again.
        with contextlib.suppress(psutil.NoSuchProcess):
            return {own, *own.parents()}


def _same(found: psutil.Process, recorded: Process) -> bool:
    return abs(found.create_time() - recorded.started) < _CLOCK_SLACK


def _runs(process: psutil.Process) -> bool:
    # A zombie has ended. Its parent may never reap it, as in many containers.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1
