"""The local stack, as a flow meets it: a file of environment variables that it leaves while it is up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STACK_FOLDER = "ATTGAN_STACK_FOLDER"
DEFAULT_STACK_FOLDER = ".local/stack"
LOCAL_RAY = "ATTGAN_LOCAL_RAY"  # the address of the cluster whose workers import the same code as its drivers
_ADDRESS = {"Prefect": "PREFECT_API_URL", "Ray": "RAY_ADDRESS", "S3": "AWS_ENDPOINT_URL"}
# What says that the user means another server, cluster or account. A region or a CA bundle does not.
_PREFECT = ("PREFECT_API_", "PREFECT_PROFILE")
_RAY_AND_S3 = (
    "RAY_ADDRESS",
    "RAY_AUTH_",
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_NO_SIGN_REQUEST",
    "AWS_PROFILE",
    "AWS_ROLE_",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_NO_PROXY = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True)
class Adoption:
    """Services of the local stack that were taken up, and the user's variables because of which others were not."""

    services: list[str] = field(default_factory=list)
    because_of: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything that a flow uses is the local stack's."""
        return set(self.services) == set(_ADDRESS)


def adopt_local_stack() -> Adoption:
    """Take up the environment of the local stack, if one has been started, for whatever the user has not set.

    Ray and S3 are taken together or not at all: the workers hold the credentials with which the cluster was started.
    Variables that lead to the stack already (``eval "$(python -m infra env)"``) are no choice of another one.
    """
    stack = _environment_file()
    services: list[str] = []
    because_of: list[str] = []
    for group, choices, prefixes in (
        (("Prefect",), _PREFECT, ("PREFECT_",)),
        (("Ray", "S3"), _RAY_AND_S3, ("RAY_", "AWS_", LOCAL_RAY)),
    ):
        present = [service for service in group if _ADDRESS[service] in stack]
        others = _others(choices, stack) if present else []
        because_of += others
        if present and not others:
            os.environ.update({name: value for name, value in stack.items() if name.startswith(prefixes)})
            services += present
    if services:
        _take_switches(stack)
    return Adoption(services, because_of)


def _environment_file() -> dict[str, str]:
    path = Path(os.environ.get(STACK_FOLDER) or DEFAULT_STACK_FOLDER) / "env"
    if not path.is_file():
        return {}
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _others(choices: tuple[str, ...], stack: Mapping[str, str]) -> list[str]:
    """The names of variables with which the user has chosen something else than the stack."""
    return sorted(
        name
        for name, value in os.environ.items()
        if name.startswith(choices) and value and value != stack.get(name)
    )


def _take_switches(stack: Mapping[str, str]) -> None:
    if "DO_NOT_TRACK" in stack:
        os.environ["DO_NOT_TRACK"] = stack["DO_NOT_TRACK"]
    for name in _NO_PROXY:
        if name in stack:  # the user's own exceptions may be others than when the stack was started
            hosts = [*os.environ.get(name, "").split(","), *stack[name].split(",")]
            os.environ[name] = ",".join(dict.fromkeys(filter(None, hosts)))
