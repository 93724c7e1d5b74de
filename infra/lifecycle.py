"""Start a stack, stop it, and leave nothing behind."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from infra import processes
from infra.environment import client_environment, inherited, write_environment
from infra.errors import RefusedError, StackError
from infra.ports import free_ports, is_free
from infra.s3_server import PORTS as S3_PORTS
from infra.s3_server import s3_server
from infra.service import Service
from infra.stack import SERVICES, Stack, forget, load, locked, new

_DESCRIBE: dict[str, Callable[[Stack], Service]] = {"s3": s3_server}
_PORTS = {"s3": S3_PORTS}


def describe(stack: Stack) -> list[Service]:
    """The stack's services."""
    return [_DESCRIBE[name](stack) for name in stack.services]


def start(stack: Stack, seconds: float = 120.0, tell: Callable[[str], None] = print) -> None:
    """Start every service at once and wait until all of them serve; on any failure stop everything again.

    Raises: StackError if a service dies or is not healthy within `seconds`.
    """
    began = time.monotonic()
    try:
        stack.save()  # first of all, so that whatever happens from here on can be undone by `down`
        write_environment(stack)
        waiting = {service.name: service for service in describe(stack)}
        base = inherited() | client_environment(stack) | {processes.MARK: stack.mark}
        for name, service in waiting.items():
            log = stack.logs / f"{name}.log"
            environment = base | dict(service.environment)
            stack.processes[name] = processes.launch(service.command, environment, log, service.folder)
            stack.save()
        while waiting:
            for name, service in list(waiting.items()):
                if not processes.exists(stack.processes[name]):
                    raise StackError(f"{service.title}: ended during its start; {_last_words(stack, name)}")
                problem = unhealthy(service)
                if problem is None:
                    del waiting[name]
                    tell(f"{service.title}: ready after {time.monotonic() - began:.1f} s")
                elif time.monotonic() - began > seconds:
                    raise StackError(
                        f"{service.title}: not ready after {seconds:.0f} s ({problem}); {_last_words(stack, name)}"
                    )
            time.sleep(0.1)
        stack.ready = True
        stack.save()
    except BaseException:
        stop(stack)
        raise


def stop(stack: Stack, grace: float = 15.0) -> None:
    """End every process of the stack and remove its traces outside its folder. Data and logs stay.

    Raises: StackError if a process survives even SIGKILL.
    """
    leaders = list(stack.processes.values())
    found = processes.everything(stack.mark, leaders)
    processes.end(found)
    processes.wait_until_ended(found, grace)
    for _ in range(10):  # again: a process may have been born while its parent was being ended
        found = processes.everything(stack.mark, leaders)
        if not found:
            break
        processes.end(found, force=True)
        processes.wait_until_ended(found, 5.0)
    else:
        raise StackError(f"--dir {stack.folder}: cannot end processes {[process.pid for process in found]}")
    for service in describe(stack):
        for path in service.leftovers:
            path.unlink(missing_ok=True)
    forget(stack)


def unhealthy(service: Service) -> str | None:
    """What is wrong with a service, or None if it serves."""
    try:
        service.check()
    except (OSError, StackError, ValueError) as error:
        return str(error) or type(error).__name__
    return None


@contextlib.contextmanager
def running(
    folder: Path,
    services: tuple[str, ...] = SERVICES,
    tell: Callable[[str], None] = print,
    **settings: object,
) -> Iterator[dict[str, str]]:
    """A stack on free ports in `folder` for the time of a `with` block; yields the environment of its clients."""
    with locked(folder):
        clear(folder)
        stack = new(folder, choose_ports(services), services, owner=processes.current(), **settings)
        start(stack, tell=tell)
    try:
        yield client_environment(stack)
    finally:
        with locked(folder):
            stop(stack)


def clear(folder: Path) -> None:
    """Remove what a dead or half-started stack left in and outside `folder`. Raises: RefusedError if one lives."""
    stack = load(folder)
    if stack is None:
        return
    if stack.ready and all(processes.exists(process) for process in stack.processes.values()):
        raise RefusedError(f"--dir {folder}: a stack is up in this folder")
    stop(stack)


def choose_ports(services: tuple[str, ...], fixed: dict[str, int] | None = None) -> dict[str, int]:
    """Ports for all servers: those asked for, and free ones for the rest."""
    fixed = fixed or {}
    names = [name for service in services for name in _PORTS[service] if name not in fixed]
    return fixed | free_ports(names, taken=fixed.values())


def _last_words(stack: Stack, name: str) -> str:
    log = stack.logs / f"{name}.log"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"its last line: {lines[-1] if lines else '(none)'} (log: {log})"
