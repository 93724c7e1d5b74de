"""The entry point: runs one command, and turns errors and signals into exit codes.

Exit codes: 2 after a refusal, 1 if the work failed, 75 if a cap of the user's ended it with work left, 130 after
Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from cyclopts import App, Parameter

from attgan.version import VERSION
from flows.cli import bundles, edits, help, stack, training, trying
from flows.runtime import json_lines
from flows.runtime.exits import end, ending_signal, exit_code, noticing_ctrl_c
from flows.settings.durations import RULE

_RESUMABLE = (
    "subset",
    "ingest",
    "edit",
    "train",
    "align",
    "train-classifier",
    "sweep",
    "pipeline",
    "make-default",
)

app = App(
    name="attgan",
    help="Adds eyeglasses to faces at scale: AttGAN batch jobs on Prefect and Ray, S3 to S3.\n\n"
    f"`--help` after a command lists its common options, `{help.ALL}` all of them. "
    f"With `{json_lines.OPTION} json`, or {json_lines.VARIABLE}=json, any command prints one JSON object a line. "
    f"A `DURATION` is {RULE}.",
    version=VERSION,
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), negative_bool=()),
    suppress_keyboard_interrupt=False,
)

for _commands in (edits, training, bundles, stack, trying):
    _commands.add_to(app)

# Whether the help that is being printed lists all options.
_whole_help = ContextVar("whole_help", default=False)
help.arrange(app, _whole_help.get)

# Former names of options, which are still accepted, and the two kinds of help, which are one to the parser.
_RENAMED = {"--judge": "--evaluator", help.ALL: "--help"}
_RENAMED_OF = {
    "edit": {"--limit": "--max-images"},
    "preview": {"--link-hours": "--link-lifetime"},
    "sweep": {"--hours": "--time-limit"},
    "bench": {"--seconds": "--stage-time"},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the ``attgan`` command."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    with noticing_ctrl_c() as interrupted:
        try:
            arguments = json_lines.choose(arguments)
            names = _RENAMED | _RENAMED_OF.get(arguments[0] if arguments else "", {})
            words = [_renamed(argument, names) for argument in arguments]
            _whole_help.set(help.ALL in arguments)
            app(words, exit_on_error=False, print_error=False, result_action="return_value")
        except BaseException as error:
            number = ending_signal(error, interrupted)
            if number is not None:
                line = "interrupted" if number == signal.SIGINT else "terminated"
                if arguments and arguments[0] in _RESUMABLE:
                    line += "; the same command resumes where it stopped"
                return end(line, 128 + number)
            return exit_code(error)
    return 0


def _renamed(argument: str, names: Mapping[str, str]) -> str:
    """An argument of the command line, with the present name of its option."""
    name, equals, value = argument.partition("=")
    return f"{names.get(name, name)}{equals}{value}"
