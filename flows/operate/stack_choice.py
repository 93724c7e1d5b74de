"""The stack that a command runs on: the local one where it is up, or for a demo one of its own."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

from flows.runtime.local_stack import Adoption, adopt_local_stack
from flows.runtime.terminal import print_line
from flows.settings import Settings

_OWNER = "ATTGAN_DEMO_OWNER"  # the process that runs a stack for the demo below it, and for nothing else


def adopt_stack() -> None:
    """Take up the local stack, if it is up, and say so."""
    _say_adopted(adopt_local_stack())


def ensure_stack(demo: str, settings: Settings) -> None:
    """Return with a whole local stack in the environment; where none is up, start one for this command alone.

    In the second case this process becomes the stack's, which starts ``attgan DEMO`` again below itself, and stops the
    stack at its end. No other server, bucket or cluster is ever used, whatever the environment names.

    Args:
        demo: the command's name.
        settings: its settings, to be given again.
    """
    if os.environ.get(_OWNER) == str(os.getppid()):
        return
    stack = adopt_local_stack()
    if not stack.complete:
        print_line(
            "this command's servers are stopped at its end; after `make up` it uses those, "
            "and you can look around afterwards"
        )
        os.environ[_OWNER] = str(os.getpid())
        own = [sys.executable, "-P", "-m", "flows.cli", demo, *_as_options(settings)]
        become("infra", "run", "--free-ports", "--", *own)
    _say_adopted(stack)


def stack_for(command: str, settings: Settings, *, own: bool) -> None:
    """Take up the local stack where it is up; where none is, and nothing else is named, start one for this command.

    Args:
        command: its name.
        settings: its settings, to be given again.
        own: whether a stack of its own would do: it holds nothing but what the command puts there, and so no bucket
            that the settings name.
    """
    named = [name for name in ("PREFECT_API_URL", "RAY_ADDRESS") if os.environ.get(name)]
    if own and not named and "s3://" not in settings.model_dump_json():
        ensure_stack(command, settings)
    else:
        adopt_stack()


def become(module: str, *arguments: str) -> NoReturn:
    """Go on as another module: one process for a terminal to interrupt, and none above it that gives up first."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])


def _as_options(settings: Settings) -> list[str]:
    """The command line that gives these settings again: what was given stands there, and nothing else."""
    options = []
    for name, value in settings.model_dump(mode="json", exclude_unset=True).items():
        for one in value if isinstance(value, list) else [value]:
            options.append(f"--{name.replace('_', '-')}={_as_word(one)}")
    return options


def _as_word(value: Any) -> Any:
    """As the command line reads it: yes and no in lower case, what has names of its own as JSON."""
    return json.dumps(value) if isinstance(value, bool | dict) else value


def _say_adopted(stack: Adoption) -> None:
    if stack.services:
        own = f", and your own S3 credentials ({stack.own_s3})" if stack.own_s3 else ""
        print_line(f"using the local stack's {', '.join(stack.services)}{own}")
    if stack.because_of:
        print_line(f"not using all of the local stack, because of {', '.join(stack.because_of)}")
