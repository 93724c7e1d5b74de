"""The local stack, as a flow meets it: a file of environment variables that it leaves while it is up."""

from __future__ import annotations

import os
from pathlib import Path

STACK_FOLDER = "ATTGAN_STACK"
DEFAULT_STACK_FOLDER = ".local/stack"
_AWS_CHOICES = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN")


def adopt_local_stack() -> list[str]:
    """Take up the environment of the local stack, if one has been started, for whatever the user has not set.

    The S3 settings are taken all together or not at all: somebody who points at another S3 is left alone.

    Returns:
        The names of the services that were taken up, for the terminal.
    """
    path = Path(os.environ.get(STACK_FOLDER, DEFAULT_STACK_FOLDER)) / "env"
    if not path.is_file():
        return []
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    stack = dict(line.split("=", 1) for line in lines)
    adopted = []
    groups = {
        "Prefect": ("PREFECT_", ("PREFECT_API_URL",)),
        "Ray": ("RAY_", ("RAY_ADDRESS",)),
        "S3": ("AWS_", _AWS_CHOICES),
    }
    for service, (prefix, choices) in groups.items():
        settings = {name: value for name, value in stack.items() if name.startswith(prefix)}
        if settings and not any(name in os.environ for name in choices):
            os.environ.update(settings)
            adopted.append(service)
    return adopted
