"""The command line: ``attgan COMMAND --option value``. Options are the flows' settings models, and nothing besides.

A user's mistake prints one line and exits 2, work that failed exits 1, Ctrl-C 130.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import metadata
from types import FrameType
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter
from pydantic import ValidationError

from attgan.errors import UserError
from flows.local_stack import Adoption, adopt_local_stack
from flows.settings import (
    DemoSettings,
    EditSettings,
    ImportWeightsSettings,
    InitSettings,
    SubsetSettings,
    first_mistake,
)
from flows.terminal import print_line, print_mapping, print_rows

WRONG_USE = 2
FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
TRACEBACK = "ATTGAN_TRACEBACK"
_RESUMABLE = ("subset", "edit")
_DEMO_OWNER = "ATTGAN_DEMO_OWNER"  # the process that runs a stack for the demo below it, and for nothing else

app = App(
    name="attgan",
    help="Adds eyeglasses to faces at scale: AttGAN batch jobs on Prefect and Ray, S3 to S3.",
    version=lambda: metadata.version("attgan"),
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), negative_bool=()),
    suppress_keyboard_interrupt=False,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the ``attgan`` command."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    with _noticing_ctrl_c() as interrupted:
        try:
            app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        except BaseException as error:
            if interrupted.is_set():  # whatever Prefect or Ray made of it on its way here
                goes_on = "; the same command goes on where it stopped"
                resumable = bool(arguments) and arguments[0] in _RESUMABLE
                return _fail(f"interrupted{goes_on if resumable else ''}", INTERRUPTED)
            return _exit_code(error)
    return 0


@contextlib.contextmanager
def _noticing_ctrl_c() -> Iterator[threading.Event]:
    """Ctrl-C as always, but it is known afterwards that it was pressed."""
    interrupted = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_code(error: BaseException) -> int:
    """Print the one line of what went wrong, and say how to exit."""
    match error:
        case MissingArgumentError():
            unknown = next((token for token in error.unused_tokens or () if token.startswith("--")), None)
            if unknown:  # a misspelt option is why one is missing
                command = " ".join(error.command_chain or ())
                return _refuse(f"{unknown}: there is no such option; `attgan {command} --help`")
            return _refuse(f"{error.argument.name if error.argument else 'an option'}: is required")
        case CycloptsError():
            cause = error.__cause__
            return _refuse(first_mistake(cause) if isinstance(cause, ValidationError) else _one_line(error))
        case ValidationError():
            return _refuse(first_mistake(error))
        case UserError():
            return _refuse(str(error))
        case Exception() if _expected(error):
            return _fail(_one_line(error))
        case Exception() if not os.environ.get(TRACEBACK):
            kind = type(error).__name__
            return _fail(f"{kind}: {_one_line(error)} (unexpected; {TRACEBACK}=1 shows where it comes from)")
    raise error


def _expected(error: Exception) -> bool:
    """Whether its line says all there is to say: files, storage, or a run that Prefect already has on record."""
    ours = ("attgan.", "flows.", "prefect.exceptions")
    return isinstance(error, OSError) or any(kind.__module__.startswith(ours) for kind in type(error).__mro__)


def _refuse(line: str) -> int:
    print(f"attgan: {line}", file=sys.stderr)
    return WRONG_USE


def _fail(line: str, code: int = FAILED) -> int:
    print(f"attgan: failed: {line}", file=sys.stderr)
    return code


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@app.command
def up(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Start the local stack: Prefect server and UI, S3 server, Ray head (its options: attgan up --help)."""
    _become("infra", "up", *options)


@app.command
def status(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Show the local stack: what runs, where, how healthy."""
    _become("infra", "status", *options)


@app.command
def down(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Stop the local stack; nothing of it is left running."""
    _become("infra", "down", *options)


def _become(module: str, *arguments: str) -> NoReturn:
    """Go on as another module: one process for a terminal to interrupt, and none above it that gives up first."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])


for _command in ("up", "status", "down"):
    app[_command].help_flags = ()  # the stack answers --help itself
    app[_command].version_flags = ()


@app.command
def subset(*, settings: Annotated[SubsetSettings, Parameter(name="*")]) -> None:
    """Cut CelebA, or a dataset in its layout, into Parquet shards."""
    _adopt_stack()
    from flows import subset as subset_room

    if settings.dry_run:
        print(subset_room.describe(settings))
        return
    from flows.running import run_from_terminal

    print_mapping("Dataset", run_from_terminal(subset_room.subset, settings=settings))


@app.command
def edit(*, settings: Annotated[EditSettings, Parameter(name="*")]) -> None:
    """Edit every face image below a prefix and write the results below another one."""
    _adopt_stack()
    if settings.dry_run:
        from flows.edit.preparation import describe

        print_rows("What this run would do", describe(settings))
        return
    from flows.edit import flow, report
    from flows.running import run_from_terminal

    report.show(run_from_terminal(flow.edit, settings=settings))


@app.command
def import_weights(*, settings: Annotated[ImportWeightsSettings, Parameter(name="*")]) -> None:
    """Turn a published AttGAN-PyTorch checkpoint (.pth) into a bundle."""
    _adopt_stack()
    from flows import weights

    print_rows(settings.destination, weights.import_weights(settings))


@app.command
def init(*, settings: Annotated[InitSettings, Parameter(name="*")]) -> None:
    """Make a bundle with a freshly initialised generator: to try the jobs with, or to train from scratch."""
    _adopt_stack()
    from flows import weights

    print_rows(settings.destination, weights.init(settings))


@app.command
def demo(*, settings: Annotated[DemoSettings, Parameter(name="*")] = DemoSettings()) -> None:  # noqa: B008
    """Draw faces, put them on S3, subset and edit them through Prefect on Ray, and show the result.

    Uses the local stack if it is up; otherwise starts one for itself, on free ports, and stops it again. No other
    server, bucket or cluster is ever touched, whatever the environment names.
    """
    if os.environ.get(_DEMO_OWNER) != str(os.getppid()):
        stack = adopt_local_stack()
        if not stack.complete:
            print_line(
                "this demo's servers are stopped at its end; after `make up` it uses those, "
                "and you can look around afterwards"
            )
            os.environ[_DEMO_OWNER] = str(os.getpid())
            again = [f"--{name.replace('_', '-')}={value}" for name, value in settings.model_dump().items()]
            own = [sys.executable, "-P", "-m", "flows.cli", "demo", *again]
            _become("infra", "run", "--free-ports", "--", *own)
        _say_adopted(stack)
    from flows.demo import run_demo

    run_demo(settings)


def _adopt_stack() -> None:
    _say_adopted(adopt_local_stack())


def _say_adopted(stack: Adoption) -> None:
    if stack.services:
        print_line(f"using the local stack's {', '.join(stack.services)}")
    if stack.because_of:
        print_line(f"not using all of the local stack, because of {', '.join(stack.because_of)}")


if __name__ == "__main__":
    main()
