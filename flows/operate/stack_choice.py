"""Chooses the stack that a command runs on: the local one if it is up, or one of its own for a demo."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Any, NoReturn

from flows.runtime.local_stack import STACK_FOLDER, Adoption, adopt_local_stack, stacks_elsewhere
from flows.runtime.terminal import print_line
from flows.settings import Settings

# Set in a demo's process: the id of the parent process, which runs a stack for this demo alone.
_OWNER = "ATTGAN_DEMO_OWNER"
# What a user names who has servers elsewhere.
_NAMED = ("PREFECT_API_URL", "RAY_ADDRESS")


def adopt_stack() -> None:
    """Use the local stack if it is up, and print which services of it are used, or where one is that is not used."""
    stack = adopt_local_stack()
    _print_adoption(stack)
    if not stack.services and not stack.because_of and not all(os.environ.get(name) for name in _NAMED):
        print_stacks_elsewhere()


def print_stacks_elsewhere() -> None:
    """Print where stacks are up, for a command that finds none in its own folder."""
    for folder in stacks_elsewhere():
        print_line(
            f"no stack is up in this folder, but one is in {folder}; to use it from here: "
            f"export {STACK_FOLDER}={shlex.quote(str(folder))}"
        )


def ensure_stack(demo: str, settings: Settings) -> None:
    """Use the local stack if all of it is up; otherwise start one for this command alone.

    To start one, this process is replaced by ``python -m infra run``. That starts the stack, runs ``attgan DEMO`` again
    as its child, and stops the stack when the child ends. Whatever the environment names, no other server, bucket or
    cluster is used.

    Args:
        demo: the name of the command.
        settings: its settings, which the second run receives as options.
    """
    if os.environ.get(_OWNER) == str(os.getppid()):
        return
    stack = adopt_local_stack()
    if not stack.complete:
        print_line(
            "this command's servers stop when it ends; after `make up` it uses those that are up, "
            "and you can look at the results there"
        )
        os.environ[_OWNER] = str(os.getpid())
        own = [sys.executable, "-P", "-m", "flows.cli", demo, *_as_options(settings)]
        become("infra", "run", "--free-ports", "--", *own)
    _print_adoption(stack)


def stack_for(command: str, settings: Settings, *, own: bool) -> None:
    """Use the local stack if it is up; otherwise, if no server or cluster is named, start one for this command.

    Args:
        command: its name.
        settings: its settings, which a second run receives as options.
        own: whether the command can use a stack of its own. Such a stack is empty, so it does not have a bucket that
            the settings name.
    """
    named = [name for name in _NAMED if os.environ.get(name)]
    if own and not named and "s3://" not in settings.model_dump_json():
        ensure_stack(command, settings)
    else:
        adopt_stack()


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by ``python -m module``.

    Ctrl-C in the terminal then reaches one process, and no parent process ends before it does.
    """
    os.environ["ATTGAN_PROGRAM"] = "attgan"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])


def _as_options(settings: Settings) -> list[str]:
    """The options that were given for these settings, as a command line."""
    options = []
    for name, value in settings.model_dump(mode="json", exclude_unset=True).items():
        for one in value if isinstance(value, list) else [value]:
            options.append(f"--{name.replace('_', '-')}={_as_word(one)}")
    return options


def _as_word(value: Any) -> Any:
    """A value as the command line reads it: booleans in lower case, mappings as JSON."""
    return json.dumps(value) if isinstance(value, bool | dict) else value


def _print_adoption(stack: Adoption) -> None:
    if stack.services:
        own = f", and your own S3 credentials ({stack.own_s3})" if stack.own_s3 else ""
        print_line(f"using the local stack's {', '.join(stack.services)}{own}")
    if stack.because_of:
        print_line(f"not using all of the local stack, because of {', '.join(stack.because_of)}")
