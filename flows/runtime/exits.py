"""How a command ends: prints one line for an error, and returns the exit code."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from cyclopts import CycloptsError, MissingArgumentError, UnknownCommandError, UnknownOptionError
from pydantic import ValidationError

from attgan.errors import CapReached, UserError, one_line
from flows.runtime import json_lines
from flows.settings import refusal_of

WRONG_USE = 2
FAILED = 1
# What sendmail's tools say, too, when the same call is to be repeated later (EX_TEMPFAIL).
CONTINUES_LATER = 75
TRACEBACK = "ATTGAN_TRACEBACK"


@contextlib.contextmanager
def noticing_ctrl_c() -> Iterator[threading.Event]:
    """Handle Ctrl-C as usual, and record that it was pressed, in the event that is yielded."""
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


def ending_signal(error: BaseException, interrupted: threading.Event) -> signal.Signals | None:
    """The signal that ended the command, also if Prefect or Ray has turned it into an exception; None without one."""
    if interrupted.is_set():
        return signal.SIGINT
    # On SIGTERM Prefect ends the flow and then calls Ray's handler, which exits with the signal's number.
    by_ray = isinstance(error, SystemExit) and error.code == signal.SIGTERM
    return signal.SIGTERM if by_ray or type(error).__name__ == "TerminationSignal" else None


def exit_code(error: BaseException) -> int:
    """Print one line for an error, and return the exit code. With ATTGAN_TRACEBACK set, raise what is unexpected."""
    match error:
        case MissingArgumentError():
            unknown = next((token for token in error.unused_tokens or () if token.startswith("--")), None)
            # A misspelt option is the usual reason for a missing one.
            if unknown:
                command = " ".join(error.command_chain or ())
                line = f"{unknown}: there is no such option; `attgan {command} --help`"
                return _refuse(UserError("option-unknown", line))
            missing = _missing(error)
            rule = "is required" if len(missing) == 1 else "are required"
            return _refuse(UserError("option-required", f"{', '.join(missing)}: {rule}"))
        case CycloptsError():
            if isinstance(error.__cause__, ValidationError):
                return _refuse(refusal_of(error.__cause__))
            return _refuse(UserError(_code_of(error), one_line(error, None)))
        case ValidationError():
            return _refuse(refusal_of(error))
        case CapReached():
            return _refuse(error, CONTINUES_LATER)
        case UserError():
            return _refuse(error)
        # Its module imports Prefect, which most commands that end here have not needed.
        case Exception() if type(error).__name__ == "RunCancelled":
            return end(str(error), FAILED)
        case Exception() if _expected(error):
            return fail(one_line(error, None))
        case Exception() if not os.environ.get(TRACEBACK):
            kind = type(error).__name__
            return fail(
                f"{kind}: {one_line(error, None)} (unexpected; {TRACEBACK}=1 shows where it comes from)"
            )
    raise error


def _missing(error: MissingArgumentError) -> list[str]:
    """The required options that a command was not given. The error itself has one of them."""
    words = (error.root_input_tokens or [])[len(error.command_chain or ()) :]
    arguments = error.app.assemble_argument_collection() if error.app else []
    required = [argument for argument in arguments if argument.required and argument.name.startswith("--")]
    # Values without their options come first, in the order of the options.
    by_place = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    given = {word.partition("=")[0] for word in words}
    given |= {argument.name for argument in required if argument.index in range(len(by_place))}
    named = [error.argument.name] if error.argument else []
    return [argument.name for argument in required if argument.name not in given] or named


def _expected(error: Exception) -> bool:
    """Whether the message is enough for the user: an error of files or storage, or of a run that Prefect records."""
    ours = ("attgan.", "flows.", "prefect.exceptions")
    return isinstance(error, OSError) or any(kind.__module__.startswith(ours) for kind in type(error).__mro__)


def _code_of(error: CycloptsError) -> str:
    """The code for what the parser of the command line does not accept."""
    match error:
        case UnknownOptionError():
            return "option-unknown"
        case UnknownCommandError():
            return "command-unknown"
    return "command-line-invalid"


def _refuse(refusal: UserError, code: int = WRONG_USE) -> int:
    if json_lines.are_wanted():
        json_lines.write(sys.stderr, "ERROR", refusal.line, code=refusal.code)
    else:
        print(f"attgan: {refusal}", file=sys.stderr)
    return code


def fail(line: str) -> int:
    """Print that a command failed, and return the exit code."""
    return end(line if json_lines.are_wanted() else f"failed: {line}", FAILED)


def end(line: str, code: int) -> int:
    """Print why a command ends early, and return the exit code."""
    if json_lines.are_wanted():
        json_lines.write(sys.stderr, "ERROR", line)
    else:
        print(f"attgan: {line}", file=sys.stderr)
    return code
