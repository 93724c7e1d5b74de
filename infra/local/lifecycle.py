"""Starts and stops a stack."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra import signals
from infra.errors import RefusedError, StackError
from infra.local import processes
from infra.local.environment import client_environment, inherited, write_environment
from infra.local.ports import free_ports, is_free
from infra.local.postgresql import PORTS as POSTGRESQL_PORTS
from infra.local.postgresql import postgresql
from infra.local.prefect_server import PORTS as PREFECT_PORTS
from infra.local.prefect_server import prefect_server
from infra.local.ray_head import PORTS as RAY_PORTS
from infra.local.ray_head import keep_logs, ray_head
from infra.local.s3_server import PORTS as S3_PORTS
from infra.local.s3_server import s3_server
from infra.local.service import Service, unhealthy
from infra.local.stack import SERVICES, Stack, forget, load, locked, new
from infra.local.worker import worker

_DESCRIBE: Mapping[str, Callable[[Stack], Service]] = {
    "postgresql": postgresql,
    "prefect": prefect_server,
    "s3": s3_server,
    "ray": ray_head,
    "worker": worker,
}
_PORTS: Mapping[str, tuple[str, ...]] = {
    "postgresql": POSTGRESQL_PORTS,
    "prefect": PREFECT_PORTS,
    "s3": S3_PORTS,
    "ray": RAY_PORTS,
    "worker": (),
}
_ATTEMPTS = 3
# Seconds without a line while services start.
_SILENCE = 4.0
# For all services to become healthy. A busy machine needs minutes.
START_SECONDS = 300.0


def build_services(stack: Stack) -> list[Service]:
    """The stack's services."""
    return [_DESCRIBE[name](stack) for name in stack.services]


def up(
    folder: Path,
    services: tuple[str, ...] = SERVICES,
    ports: Mapping[str, int] | None = None,
    report: Callable[[str], None] = print,
    seconds: float = START_SECONDS,
    **settings: object,
) -> Stack:
    """Start a stack in `folder`, and return it when all services are healthy. After a failure everything is stopped.

    `ports` are the ones that the user has chosen, by name. All others are chosen among free ones. `settings` are fields
    of `Stack`.

    Raises: RefusedError if a stack is up in this folder; StackError if a service fails to start.
    """
    folder = folder.absolute()
    fixed = {name: port for name, port in (ports or {}).items() if any(name in _PORTS[s] for s in services)}
    with locked(folder):
        _clear(folder)
        for attempt in range(1, _ATTEMPTS + 1):
            names = [name for service in services for name in _PORTS[service] if name not in fixed]
            chosen = fixed | free_ports(names, taken=fixed.values())
            stack = new(folder, chosen, services, **settings)
            try:
                start(stack, report, seconds)
                return stack
            except StackError:
                # Another program may have taken a port between its choice and the start of the server.
                if attempt == _ATTEMPTS or all(is_free(port) for port in chosen.values()):
                    raise
    raise AssertionError("unreachable")


def start(stack: Stack, report: Callable[[str], None] = print, seconds: float = START_SECONDS) -> None:
    """Start every service as soon as those that it needs are healthy, and wait for all. After a failure, stop all.

    Raises: StackError if a service ends, or is not healthy within `seconds`.
    """
    began = said = time.monotonic()
    try:
        # Saved before anything runs, so that `down` can stop whatever has been started.
        stack.save()
        write_environment(stack)
        waiting = {service.name: service for service in build_services(stack)}
        while waiting:
            for service in waiting.values():
                if service.name not in stack.processes and not waiting.keys() & set(service.needs):
                    _launch(stack, service)
            time.sleep(0.1)
            for name, service in list(waiting.items()):
                if name not in stack.processes:
                    continue
                problem = unhealthy(service)
                took = time.monotonic() - began
                if not processes.exists(stack.processes[name]):
                    raise StackError(
                        f"{service.title}: ended during its start; {_last_log_line(stack, name)}"
                    )
                if problem is None:
                    del waiting[name]
                    service.after()
                    said = time.monotonic()
                    report(f"{service.title}: ready after {took:.1f} s")
                elif took > seconds:
                    last = _last_log_line(stack, name)
                    raise StackError(f"{service.title}: not ready after {seconds:.0f} s ({problem}); {last}")
            if waiting and time.monotonic() - said > _SILENCE:
                said = time.monotonic()
                titles = ", ".join(service.title for service in waiting.values())
                report(f"still starting after {said - began:.0f} s: {titles}")
        stack.ready = True
        stack.save()
        report(f"the stack: ready after {time.monotonic() - began:.1f} s")
    except BaseException:
        stop(stack)
        raise


def _launch(stack: Stack, service: Service) -> None:
    environment = inherited() | client_environment(stack) | {processes.MARK: stack.mark}
    log = stack.logs / f"{service.name}.log"
    service.before()
    # Until the process is recorded.
    with signals.deferred():
        started = processes.launch(
            service.command, environment | dict(service.environment), log, service.folder
        )
        stack.processes[service.name] = started
        stack.save()


def stop(stack: Stack) -> None:
    """End every process of the stack, and remove its files outside its folder. Data and logs stay.

    A service ends before those that it needs, because it still reports to them.

    Raises: StackError if a process survives even SIGKILL.
    """
    services = build_services(stack)
    with signals.deferred():
        started = stack.processes
        graces = {started[s.name].pid: s.grace for s in services if s.name in started}
        # The worker is the last one, and needs the others.
        for service in reversed(services):
            if service.needs and service.name in started:
                leader = started[service.name]
                processes.end(processes.offspring(leader), {}, usual=service.works)
                processes.end(functools.partial(processes.members, leader), graces)
        left = processes.end(lambda: processes.everything(stack.mark, started.values()), graces)
        if left:
            raise StackError(f"--dir {stack.folder}: cannot end the processes {left}")
        for service in services:
            for path in service.leftovers:
                path.unlink(missing_ok=True)
        keep_logs(stack)
        forget(stack)


def down(folder: Path) -> bool:
    """Stop the stack in `folder`, or what is left of it, and return whether there was one."""
    if not folder.is_dir():
        return False
    with locked(folder):
        stack = load(folder)
        if stack is not None:
            stop(stack)
    return stack is not None


@contextlib.contextmanager
def running(
    folder: Path, services: tuple[str, ...] = SERVICES, **options: object
) -> Iterator[dict[str, str]]:
    """A stack that runs during a `with` block. Yields the environment of its clients; options as for `up`."""
    stack = up(folder, services, owner=processes.current(), **options)  # type: ignore[arg-type]
    try:
        yield client_environment(stack) | {processes.MARK: stack.mark}
    finally:
        with locked(folder, wait=True):
            stop(stack)


def clear(folder: Path) -> None:
    """Remove the remains of a dead or half-started stack. Raises: RefusedError if a stack is up in `folder`."""
    if load(folder) is not None:
        with locked(folder):
            _clear(folder)


def clear_abandoned(parent: Path, pattern: str) -> list[Path]:
    """Stop the stacks in folders of `parent` whose owner was killed, and return their folders."""
    found = []
    for folder in sorted(parent.glob(pattern)):
        # A stack that is being started or stopped, or belongs to another user, is left alone.
        with contextlib.suppress(StackError, OSError):
            stack = load(folder)
            if stack is not None and stack.owner is not None and not processes.exists(stack.owner):
                down(folder)
                found.append(folder)
    return found


def _clear(folder: Path) -> None:
    stack = load(folder)
    if stack is None:
        return
    if stack.ready and any(processes.exists(process) for process in stack.processes.values()):
        raise RefusedError(
            "stack-already-up", f"--dir {folder}: a stack is up in this folder; take it down first"
        )
    stop(stack)


def _last_log_line(stack: Stack, name: str) -> str:
    log = stack.logs / f"{name}.log"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"its last line: {lines[-1] if lines else '(none)'} (log: {log})"
