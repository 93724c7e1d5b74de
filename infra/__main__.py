"""The local stack from the command line: `python -m infra up|status|down|env|deployments|run`."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, validators

from infra import signals
from infra.errors import Interrupted, RefusedError, StackError
from infra.local import lifecycle
from infra.local.environment import client_environment, inherited, shell_lines
from infra.local.ports import is_free, listener
from infra.local.postgresql import require_postgresql
from infra.local.runs import end_runs
from infra.local.service import program
from infra.local.stack import SERVICES, Stack, load
from infra.local.status import status
from infra.local.worker import NEEDS

# Seconds for a command to end by itself after a signal. A second Ctrl-C ends it at once.
PATIENCE = 60.0
DEFAULT_FOLDER = Path(os.environ.get("ATTGAN_STACK_FOLDER") or ".local/stack")
# name of the port, default
_PORTS = {"prefect": 4200, "s3": 8333, "ray": 6379, "dashboard": 8265}
# A program that this one stands for, such as `attgan`. Nothing that is started here inherits the name.
_PROGRAM = os.environ.pop("ATTGAN_PROGRAM", "python -m infra")
_NO_COMMAND = "run: the command is missing; write `run [options] -- COMMAND …`"

app = App(
    name=_PROGRAM,
    help="The local stack: Prefect server and UI, S3 server (SeaweedFS), Ray head, and a worker that runs the "
    "deployments, all on 127.0.0.1.",
    version_flags=(),
    default_parameter=Parameter(negative=(), show_default=False),
    suppress_keyboard_interrupt=False,
)


def _seconds(kind: object, tokens: Sequence[Any]) -> float:
    """The seconds of a number with its unit. Without one they are seconds, as up to version 0.2."""
    del kind
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)([smh]?)", tokens[0].value)
    seconds = float(found[1]) * {"m": 60, "h": 3600}.get(found[2], 1) if found else 0.0
    if seconds < 1:
        raise ValueError(f"{tokens[0].value!r} must be a number and its unit, such as 90s or 10m, from 1s")
    return seconds


def _whole(kind: object, tokens: Sequence[Any]) -> int:
    """A whole number, which is not rounded from another one."""
    del kind
    if not re.fullmatch("[0-9]{1,9}", tokens[0].value):
        raise ValueError(f"{tokens[0].value!r} must be a whole number")
    return int(tokens[0].value)


def _path(kind: object, tokens: Sequence[Any]) -> Path:
    """A path that is not empty, as that of a shell's variable without a value would be."""
    del kind
    if not tokens[0].value:
        raise ValueError("'' must be a path")
    return Path(tokens[0].value)


def _from(least: int, most: int | None = None) -> Parameter:
    return Parameter(converter=_whole, validator=validators.Number(gte=least, lte=most))


Port = Annotated[int | None, _from(1, 65535)]
Folder = Annotated[
    Path,
    Parameter(
        name="--dir",
        converter=_path,
        help="Folder of the stack; by default $ATTGAN_STACK_FOLDER or .local/stack.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a start can be told.

    Args:
        prefect_port: Port of Prefect's API and UI; 4200, or a free one with --free-ports.
        s3_port: Port of the S3 server; 8333, or a free one with --free-ports.
        ray_port: Port of Ray; 6379, or a free one with --free-ports.
        dashboard_port: Port of Ray's dashboard; 8265, or a free one with --free-ports.
        free_ports: Choose free ports where none is given.
        cpus: CPUs that Ray hands out; by default all.
        gpus: GPUs that Ray hands out; by default all.
        object_store_mb: Memory of Ray's object store, in MB.
        database: Of the Prefect server; each has data of its own.
        without: Do not start this; `dashboard` is Ray's. Repeatable.
        time_limit: How long the start may take, such as 90s or 10m.
    """

    prefect_port: Port = None
    s3_port: Port = None
    ray_port: Port = None
    dashboard_port: Port = None
    free_ports: bool = False
    cpus: Annotated[int | None, _from(1)] = None
    gpus: Annotated[int | None, _from(0)] = None
    object_store_mb: Annotated[int, _from(100), Parameter(show_default=True)] = 512
    database: Annotated[Literal["sqlite", "postgresql"], Parameter(show_default=True)] = "sqlite"
    without: tuple[Literal["prefect", "s3", "ray", "worker", "dashboard"], ...] = ()
    time_limit: Annotated[
        float,
        Parameter(converter=_seconds, metavar="DURATION", show_default=lambda seconds: f"{seconds:g}s"),
    ] = lifecycle.START_SECONDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (failed), 2 (refused), or 128 + the signal that ended it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    signals.interruptible()
    try:
        if not words:
            app.help_print([])
            return RefusedError.exit_code
        # Without the two hyphens the command's options would be taken for ours.
        if words[0] == "run" and "--" not in words and words[1:] not in (["--help"], ["-h"]):
            raise RefusedError("command-missing", _NO_COMMAND)
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        return code or 0
    except CycloptsError as error:
        help_of = " ".join([_PROGRAM, *(error.command_chain or ()), "--help"])
        refusal = RefusedError("command-line-invalid", f"{' '.join(str(error).split())} ({help_of})")
        print(f"error: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return StackError.exit_code
    except Interrupted as interruption:
        left = "the stack may still be up; the same command again stops it"
        started = "everything that was started is stopped again"
        print(f"interrupted: {left if words[0] == 'down' else started}", file=sys.stderr)
        return interruption.exit_code


@app.command
def up(*, folder: Folder = DEFAULT_FOLDER, choices: Choices = Choices()) -> int:
    """Start the stack and leave it running."""
    stack = load(folder)
    if stack is not None and stack.ready:
        healthy, table = status(stack)
        if healthy:
            print(f"a stack is already up in {folder}", *table, sep="\n")
            if choices != Choices():
                _say("this command's options are not applied to it; `down` stops it first")
            return 0
        print(*table, sep="\n", file=sys.stderr)
    lifecycle.clear(folder)
    # The worker is part of a whole stack: it is left out with a service that it needs.
    worker = {*NEEDS, "worker"}.isdisjoint(choices.without)
    stack = lifecycle.up(folder, report=_say, **_resolved(choices, worker=worker))
    _, table = status(stack)
    print(*table, *_ways_in(stack), sep="\n")
    return 0


@app.command(name="status")
def show(*, folder: Folder = DEFAULT_FOLDER) -> int:
    """Show the services, their addresses, and whether they are healthy; exit code 0 if all are."""
    stack = _recorded(folder)
    healthy, table = status(stack)
    print(*table, *_ways_in(stack), sep="\n")
    return 0 if healthy else 1


@app.command
def down(*, folder: Folder = DEFAULT_FOLDER, force: bool = False) -> None:
    """Cancel the runs that are at work, and stop the stack. Its data and logs stay.

    Stacks of `run` commands that were killed are stopped, too.

    Args:
        force: Stop at once, without waiting for runs to end.
    """
    stack = load(folder)
    if stack is not None and stack.ready and "prefect" in stack.services and not force:
        end_runs(stack, report=_say)
    stopped = lifecycle.down(folder)
    abandoned = lifecycle.clear_abandoned(folder.parent, "run-*")
    for place in [folder] * stopped + abandoned:
        print(f"stopped the stack in {place} (its data and logs are still there)")
    if not stopped and not abandoned:
        print(f"no stack is up in {folder}")


@app.command
def env(*, folder: Folder = DEFAULT_FOLDER) -> None:
    """Print the environment of the stack's clients, with its secrets, as lines for `eval` in a shell."""
    print(*shell_lines(client_environment(_recorded(folder))), sep="\n")


@app.command
def deployments() -> None:
    """Print the path of the file that describes the deployments, for `prefect deploy --prefect-file`."""
    print(Path(__file__).with_name("prefect.yaml"))


@app.command
def run(
    *command: str,
    folder: Annotated[Path | None, Parameter(name="--dir", converter=_path)] = None,
    choices: Choices = Choices(),
    worker: bool = False,
) -> int:
    """Run a command with a stack of its own, which is stopped at the end, and return the command's exit code.

    Args:
        command: What to run, after `--`.
        folder: Folder of the stack; by default .local/run-…, removed if the command succeeds.
        worker: Also start the worker that runs deployments.
    """
    if not command:
        raise RefusedError("command-missing", _NO_COMMAND)
    try:
        executable = program(command[0])
    except StackError:
        raise RefusedError("program-missing", f"run: {command[0]}: no such program") from None
    own = folder is None
    folder = folder or Path(".local") / f"run-{secrets.token_hex(4)}"
    if own:
        lifecycle.clear_abandoned(folder.parent, "run-*")
        _remove_old_runs(folder.parent)
    lifecycle.clear(folder)
    with lifecycle.running(folder, report=_say, **_resolved(choices, worker=worker)) as variables:
        code = _foreground([executable, *command[1:]], inherited() | variables)
    if own and code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    elif own:
        print(f"exit code {code}; the stack's data and logs are in {folder}", file=sys.stderr)
    return code


def _remove_old_runs(parent: Path) -> None:
    # Failed runs keep their logs for a day.
    for folder in parent.glob("run-*"):
        if not (folder / "state.json").exists() and folder.stat().st_mtime < time.time() - 86400:
            shutil.rmtree(folder, ignore_errors=True)


def _foreground(command: list[str], environment: dict[str, str]) -> int:
    child = subprocess.Popen(command, env=environment)
    try:
        code = child.wait()
    except Interrupted as interruption:
        # The terminal sends Ctrl-C to the command, too. Any other signal has only reached this process.
        if not (interruption.exit_code == 130 and sys.stdin.isatty()):
            child.send_signal(interruption.exit_code - 128)
        try:
            child.wait(timeout=PATIENCE)
        except (subprocess.TimeoutExpired, Interrupted):
            child.kill()
            child.wait()
        raise
    return code if code >= 0 else 128 - code


def _resolved(choices: Choices, *, worker: bool) -> dict[str, Any]:
    """The arguments of a start that choices stand for."""
    services = tuple(name for name in SERVICES if name not in choices.without)
    if not services:
        raise RefusedError("nothing-to-start", "--without: nothing is left to start")
    missing = [name for name in (*NEEDS, "worker") if name in choices.without]
    if worker and missing:
        raise RefusedError(
            "worker-needs-service", f"--worker: --without {missing[0]} leaves out what it needs"
        )
    if worker:
        services += ("worker",)
    if choices.database == "postgresql" and "prefect" in services:
        require_postgresql()
        services = ("postgresql", *services)
    dashboard = "dashboard" not in choices.without
    return {
        "services": services,
        "ports": _ports(choices, services, dashboard),
        "seconds": choices.time_limit,
        "cpus": choices.cpus,
        "gpus": choices.gpus,
        "object_store_mb": choices.object_store_mb,
        "dashboard": dashboard,
    }


def _ports(choices: Choices, services: Sequence[str], dashboard: bool) -> dict[str, int]:
    """The ports that are given or usual. The rest are chosen at the start."""
    fixed: dict[str, int] = {}
    for name, default in _PORTS.items():
        port = getattr(choices, f"{name}_port") or (None if choices.free_ports else default)
        wanted = dashboard and "ray" in services if name == "dashboard" else name in services
        if port is None or not wanted:
            continue
        option = f"--{name}-port {port}"
        if port in fixed.values():
            raise RefusedError("port-taken", f"{option}: another service of the stack has this port")
        if not is_free(port):
            raise RefusedError(
                "port-taken",
                f"{option}: this port is taken{listener(port)}; choose another, or use --free-ports",
            )
        fixed["ray-dashboard" if name == "dashboard" else name] = port
    return fixed


def _recorded(folder: Path) -> Stack:
    stack = load(folder)
    if stack is None:
        raise StackError(f"no stack is up in {folder}")
    return stack


def _ways_in(stack: Stack) -> list[str]:
    """How to get into the dashboards, and from a shell to the servers: where secrets are, but none of them."""
    folder, program = (_shortest(path) for path in (stack.folder, Path(sys.executable).with_name("attgan")))
    lines = [f'in a shell, for any client: eval "$({program} env --dir {folder})"', f"logs: {folder}/logs"]
    if "ray" in stack.services and stack.dashboard:
        lines.insert(0, f"the Ray dashboard asks for a token: paste what `cat {folder}/ray/token` prints")
    return lines


def _shortest(path: Path) -> str:
    """The path, seen from here or from the root."""
    return min(os.path.relpath(path), str(path.absolute()), key=len)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
