"""Operating system processes of a stack: start them apart, find every one again, end exactly those.

Three ways lead from a stack to its processes, because none is enough alone: the session that each server
leads (Ray's processes leave their process group, but not the session), the stack's mark in the environment
that every child inherits (survives a new session and the loss of our records), and descent. A process number
can be used again by a stranger, so a recorded one counts only together with the time the process started.
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
_CLOCK_SLACK = 2.0  # seconds; the start time is reckoned from the wall clock, which may be set


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
    # Else the object complains when it is collected while the server runs on, which is the point of a server.
    child.returncode = 0
    try:
        return Process(child.pid, psutil.Process(child.pid).create_time())
    except psutil.NoSuchProcess:
        return Process(child.pid, time.time())


def exists(process: Process) -> bool:
    """Whether this very process still runs (not a stranger with its number, not a zombie)."""
    try:
        found = psutil.Process(process.pid)
        return _same(found, process) and _runs(found)
    except psutil.NoSuchProcess:
        return False


def members(leader: Process) -> list[psutil.Process]:
    """The running processes of the session that `leader` was started to lead, itself included."""
    try:
        if not _same(psutil.Process(leader.pid), leader):
            return []  # the number was used again, so the session it now names is not ours
    except psutil.NoSuchProcess:
        pass  # the leader has ended; while members are left, the kernel gives its number to nobody
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
    """Every running process of a stack, but never this one nor one that it descends from."""
    return _with_descendants({p for leader in leaders for p in members(leader)} | set(marked(mark)))


def offspring(leader: Process) -> Callable[[], list[psutil.Process]]:
    """A function that finds what `leader` has started in other sessions, orphans of an earlier call included."""
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
    """Ask processes to end (SIGTERM), kill those that do not, and return the numbers of what is left.

    `find` is called again and again, because processes are born and orphaned meanwhile. Of a tree the topmost
    are asked first, since servers wind down their own children best. `graces` holds the seconds that the members
    of a session have (by its number; others have the `usual`); after that the whole session is killed.
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
            with contextlib.suppress(psutil.Error):  # ended meanwhile; psutil refuses a number used again
                if _session(process.pid) in expired:
                    process.kill()
                elif process not in deadlines and process.ppid() not in numbers:
                    process.terminate()
                    deadlines[process] = now + graces.get(_session(process.pid), usual)
        time.sleep(0.05)
        for pid in numbers:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)  # collects those that are our own children
    return [process.pid for process in found]


def _with_descendants(found: set[psutil.Process]) -> list[psutil.Process]:
    for process in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(child for child in process.children(recursive=True) if _runs(child))
    return sorted(found - _own_line(), key=lambda process: process.pid)


def _own_line() -> set[psutil.Process]:
    own = psutil.Process()
    while True:
        with contextlib.suppress(psutil.NoSuchProcess):  # one has ended meanwhile, and its parent is ours now
            return {own, *own.parents()}


def _same(found: psutil.Process, recorded: Process) -> bool:
    return abs(found.create_time() - recorded.started) < _CLOCK_SLACK


def _runs(process: psutil.Process) -> bool:
    # A zombie has ended; whether its parent ever collects it is not in our hands (many containers never do).
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1
