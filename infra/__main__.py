"""The local stack from the command line: `python -m infra up|status|down|env|deployments|run`."""

import argparse
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

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
# option, name of the port, default
_PORT_OPTIONS = (
    ("--prefect-port", "prefect", 4200, "Prefect's API and UI"),
    ("--s3-port", "s3", 8333, "the S3 server"),
    ("--ray-port", "ray", 6379, "Ray"),
    ("--dashboard-port", "ray-dashboard", 8265, "Ray's dashboard"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (failed), 2 (refused), or 128 + the signal that ended it."""
    options = _parser().parse_args(arguments)
    signals.interruptible()
    try:
        code: int = options.command(options)
        return code
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return StackError.exit_code
    except Interrupted as interruption:
        print("interrupted: everything that was started is stopped again", file=sys.stderr)
        return interruption.exit_code


def up(options: argparse.Namespace) -> int:
    """Start the stack and leave it running."""
    stack = load(options.dir)
    if stack is not None and stack.ready:
        healthy, table = status(stack)
        if healthy:
            print(f"a stack is already up in {options.dir}", *table, sep="\n")
            return 0
        print(*table, sep="\n", file=sys.stderr)
    lifecycle.clear(options.dir)
    stack = lifecycle.up(options.dir, report=_say, **_choices(options))
    _, table = status(stack)
    print(*table, *_ways_in(stack), sep="\n")
    return 0


def show(options: argparse.Namespace) -> int:
    """Print the table of services; 0 if all are healthy, else 1."""
    stack = _recorded(options.dir)
    healthy, table = status(stack)
    print(*table, *_ways_in(stack), sep="\n")
    return 0 if healthy else 1


def down(options: argparse.Namespace) -> int:
    """Stop the stack, and stacks of `run` commands that were killed."""
    stack = load(options.dir)
    if stack is not None and stack.ready and "prefect" in stack.services and not options.force:
        end_runs(stack, report=_say)
    stopped = lifecycle.down(options.dir)
    abandoned = lifecycle.clear_abandoned(options.dir.parent, "run-*")
    for folder in [options.dir] * stopped + abandoned:
        print(f"stopped the stack in {folder} (its data and logs are still there)")
    if not stopped and not abandoned:
        print(f"no stack is up in {options.dir}")
    return 0


def env(options: argparse.Namespace) -> int:
    """Print the environment variables of clients, as lines for `eval` in a shell."""
    print(*shell_lines(client_environment(_recorded(options.dir))), sep="\n")
    return 0


def deployments(options: argparse.Namespace) -> int:
    """Print the path of the file that describes the deployments."""
    del options
    print(Path(__file__).with_name("prefect.yaml"))
    return 0


def run(options: argparse.Namespace) -> int:
    """Run a command with a stack of its own, and return the command's exit code."""
    command = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not command:
        raise RefusedError(
            "command-missing", "run: the command is missing; write `run [options] -- COMMAND …`"
        )
    try:
        command[0] = program(command[0])
    except StackError:
        raise RefusedError("program-missing", f"run: {command[0]}: no such program") from None
    own = options.dir is None
    folder: Path = Path(".local") / f"run-{secrets.token_hex(4)}" if own else options.dir
    if own:
        lifecycle.clear_abandoned(folder.parent, "run-*")
        _remove_old_runs(folder.parent)
    lifecycle.clear(folder)
    with lifecycle.running(folder, report=_say, **_choices(options)) as variables:
        code = _foreground(command, inherited() | variables)
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


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    services = tuple(name for name in SERVICES if name not in options.without)
    if not services:
        raise RefusedError("nothing-to-start", "--without: nothing is left to start")
    missing = [name for name in NEEDS if name not in services]
    if options.command is run and options.worker and missing:
        raise RefusedError(
            "worker-needs-service", f"--worker: needs {missing[0]}, which --without leaves out"
        )
    if options.worker and "worker" not in options.without and not missing:
        services += ("worker",)
    if options.database == "postgresql" and "prefect" in services:
        require_postgresql()
        services = ("postgresql", *services)
    fixed: dict[str, int] = {}
    for option, name, default, _ in _PORT_OPTIONS:
        port = getattr(options, option[2:].replace("-", "_"))
        if port is None and not options.free_ports:
            port = default
        service = name.split("-")[0]
        wanted = service in services and not (name == "ray-dashboard" and "dashboard" in options.without)
        if port is None or not wanted:
            continue
        if port in fixed.values():
            raise RefusedError("port-taken", f"{option} {port}: another service of the stack has this port")
        if not is_free(port):
            raise RefusedError(
                "port-taken",
                f"{option} {port}: this port is taken{listener(port)}; choose another, or use --free-ports",
            )
        fixed[name] = port
    return {
        "services": services,
        "ports": fixed,
        "seconds": options.time_limit,
        "cpus": options.cpus,
        "gpus": options.gpus,
        "object_store_mb": options.object_store_mb,
        "dashboard": "dashboard" not in options.without,
    }


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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line and not the whole usage."""
        refusal = RefusedError(
            "command-line-invalid", f"{message.removeprefix('argument ')} (see {self.prog} --help)"
        )
        self.exit(refusal.exit_code, f"error: {refusal}\n")


def _number(low: float, high: float = math.inf, whole: bool = True) -> Callable[[str], float]:
    rule = f"must be a {'whole ' if whole else ''}number from {low:g}" + (
        f" to {high:g}" if high < math.inf else ""
    )

    def parse(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} {rule}")
        return value

    return parse


def _duration(text: str) -> float:
    """The seconds of a number with its unit. Without one they are seconds, as up to version 0.2."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)([smh]?)", text)
    seconds = float(found[1]) * {"m": 60, "h": 3600}.get(found[2], 1) if found else 0.0
    if seconds < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a number and its unit, such as 90s or 10m, from 1s"
        )
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        # A program that this one stands for, such as `attgan`. Nothing that is started here inherits the name.
        prog=os.environ.pop("ATTGAN_PROGRAM", "python -m infra"),
        description="The local stack: Prefect server and UI, S3 server (SeaweedFS), Ray head, and a worker that runs "
        "the deployments, all on 127.0.0.1.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, function: object, text: str, folder: Path | None = DEFAULT_FOLDER
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        usual = (
            "$ATTGAN_STACK_FOLDER or .local/stack"
            if folder
            else ".local/run-…, removed if the command succeeds"
        )
        help_text = f"folder of the stack (default: {usual})"
        command.add_argument("--dir", type=Path, default=folder, metavar="DIR", help=help_text)
        return command

    starting = [
        add("up", up, "Start the stack and leave it running."),
        add("run", run, "Run a command with a stack of its own, which is stopped at the end.", folder=None),
    ]
    for command in starting:
        port = _number(1, 65535)
        for option, _, default, what in _PORT_OPTIONS:
            text = f"port of {what} (default: {default}, or a free one with --free-ports)"
            command.add_argument(option, type=port, metavar="PORT", help=text)
        command.add_argument(
            "--free-ports", action="store_true", help="choose free ports where none is given"
        )
        command.add_argument(
            "--cpus", type=_number(1), metavar="N", help="CPUs that Ray hands out (default: all)"
        )
        command.add_argument(
            "--gpus", type=_number(0), metavar="N", help="GPUs that Ray hands out (default: all)"
        )
        command.add_argument(
            "--object-store-mb",
            type=_number(100),
            default=512,
            metavar="MB",
            help="memory of Ray's object store (default: 512)",
        )
        command.add_argument(
            "--database",
            choices=("sqlite", "postgresql"),
            default="sqlite",
            help="of the Prefect server (default: sqlite); each has data of its own",
        )
        command.add_argument(
            "--without",
            action="append",
            default=[],
            choices=[*SERVICES, *(["worker"] if command is starting[0] else []), "dashboard"],
            help="do not start this (may be repeated; `dashboard` is Ray's)",
        )
        command.add_argument(
            "--time-limit",
            type=_duration,
            default=lifecycle.START_SECONDS,
            metavar="DURATION",
            help=f"how long the start may take, such as 90s or 10m (default: {lifecycle.START_SECONDS:g}s)",
        )
    # `up` starts the worker unless a service that it needs is left out.
    starting[0].set_defaults(worker=True)
    starting[1].add_argument(
        "--worker", action="store_true", help="also start the worker that runs deployments"
    )
    starting[1].add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND …", help="what to run")
    add(
        "status",
        show,
        "Show the services, their addresses, and whether they are healthy; exit code 0 if all are.",
    )
    add(
        "down", down, "Cancel the runs that are at work, and stop the stack. Its data and logs stay."
    ).add_argument("--force", action="store_true", help="stop at once, without waiting for runs to end")
    add(
        "env",
        env,
        f'Print the environment of the stack\'s clients, with its secrets: eval "$({parser.prog} env)".',
    )
    text = "Print the path of the file that describes the deployments, for `prefect deploy --prefect-file`."
    add("deployments", deployments, text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
