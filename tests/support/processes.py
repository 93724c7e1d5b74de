"""Looking at processes, any of which may end while it is looked at."""

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import TypeVar

import psutil

T = TypeVar("T")


def answers(question: Callable[[psutil.Process], T], of: Iterable[psutil.Process] | None = None) -> list[T]:
    """What processes (all, if none are given) answer; those that have ended, or may not be asked, answer nothing."""
    found = []
    for process in psutil.process_iter() if of is None else of:
        with contextlib.suppress(psutil.Error, OSError):
            found.append(question(process))
    return found


def find_processes(is_wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """All processes of which this holds."""
    return [process for process, wanted in answers(lambda one: (one, is_wanted(one))) if wanted]


def ray_tasks(token_path: str, *names: str) -> list[psutil.Process]:
    """The workers of the Ray cluster with this token that are at a task, or are an actor, with one of these names."""
    titles = tuple(f"ray::{name}" for name in names)

    def is_wanted(process: psutil.Process) -> bool:
        title = "".join(process.cmdline()[:1])
        return title.startswith(titles) and process.environ().get("RAY_AUTH_TOKEN_PATH") == token_path

    return find_processes(is_wanted)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL, but for those that have ended."""
    answers(psutil.Process.kill, processes)


def bound_by_modes() -> list[str]:
    """The beginning of a command that may not read or write what file modes forbid, even if root runs it."""
    if os.geteuid() != 0:
        return []
    without = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]
