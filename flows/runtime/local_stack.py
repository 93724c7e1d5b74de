"""Uses the local stack: while it is up, its folder holds a file of environment variables for clients."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STACK_FOLDER = "ATTGAN_STACK_FOLDER"
# In the environment of every server of a stack.
_MARK = "ATTGAN_STACK"
DEFAULT_STACK_FOLDER = ".local/stack"
# The address of the cluster whose workers import the same code as its drivers.
LOCAL_RAY = "ATTGAN_LOCAL_RAY"
# The endpoint whose keys the workers of that cluster were started with.
LOCAL_S3 = "ATTGAN_LOCAL_S3"
_ADDRESS = {"Prefect": "PREFECT_API_URL", "Ray": "RAY_ADDRESS", "S3": "AWS_ENDPOINT_URL"}
# Variables by which a user chooses another server, cluster or account. A region or a CA bundle is no such choice.
_PREFECT = ("PREFECT_API_", "PREFECT_PROFILE")
_RAY = ("RAY_ADDRESS", "RAY_AUTH_")
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_S3 = (
    *_CREDENTIALS,
    "AWS_CONFIG_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_NO_SIGN_REQUEST",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_NO_PROXY = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True)
class Adoption:
    """Which services of the local stack this process uses.

    Attributes:
        services: the services that it uses.
        because_of: the user's variables that exclude the other services.
        own_s3: where the user's own S3 credentials come from, if those are used with the stack's Ray; never a key.
    """

    services: list[str] = field(default_factory=list)
    because_of: list[str] = field(default_factory=list)
    own_s3: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all services that a flow needs are the local stack's."""
        return set(self.services) == set(_ADDRESS)


def adopt_local_stack() -> Adoption:
    """Set the environment variables of the local stack, if it is up, for services that the user has not chosen.

    The services are independent, with one exception: the stack's S3 server is not used with another Ray cluster, which
    could not reach it. Variables that already name the stack (``eval "$(python -m infra env)"``) are not a choice of
    another service.
    """
    stack = _environment_file()
    present = [service for service, address in _ADDRESS.items() if address in stack]
    prefect, ray, s3 = (_others(choices, stack) for choices in (_PREFECT, _RAY, _S3))
    services: list[str] = []
    for service, others, prefixes in (
        ("Prefect", prefect, ("PREFECT_",)),
        ("Ray", ray, ("RAY_", LOCAL_RAY)),
        ("S3", ray + s3, ("AWS_", LOCAL_S3)),
    ):
        if service in present and not others:
            os.environ.update({name: value for name, value in stack.items() if name.startswith(prefixes)})
            services.append(service)
    if services:
        _take_switches(stack)
    if "S3" not in services:
        os.environ.pop(LOCAL_S3, None)
    if "S3" in present and any(name.startswith(_CREDENTIALS) for name in s3):
        _forget_s3(stack)
    own_s3 = _source(s3) if "Ray" in services and "S3" not in services else None
    left = [
        name
        for service, names in (("Prefect", prefect), ("Ray", ray))
        if service in present
        for name in names
    ]
    if own_s3 is None and "S3" in present:
        left += s3
    return Adoption(services, left, own_s3)


def stacks_elsewhere() -> list[Path]:
    """The folders of stacks that this user has started and left running, found by the environment of their servers."""
    # Only needed where no stack is found.
    import psutil

    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            variables = process.environ()
            if variables.get(_MARK) and "PREFECT_HOME" in variables:
                found.add(Path(variables["PREFECT_HOME"]).parent)
    return sorted(folder for folder in found if _is_left_running(folder))


def _is_left_running(folder: Path) -> bool:
    """Whether the stack is ready and belongs to no command, such as a demo, which will stop it."""
    try:
        record = json.loads((folder / "state.json").read_text())
        return bool(record["ready"] and record["owner"] is None)
    except (OSError, ValueError, KeyError):
        return False


def shares_s3() -> bool:
    """Whether the workers of the local Ray were started with the S3 settings of this process."""
    endpoint = os.environ.get(LOCAL_S3)
    return endpoint is not None and endpoint == os.environ.get(_ADDRESS["S3"])


def _source(others: list[str]) -> str:
    """Where botocore will find the credentials, in its own order of precedence."""
    profile = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE")
    if "AWS_NO_SIGN_REQUEST" in others:
        return "AWS_NO_SIGN_REQUEST"
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return "environment"
    if profile:
        return f"profile {profile}"
    return ", ".join(others) or "default settings"


def _environment_file() -> dict[str, str]:
    path = Path(os.environ.get(STACK_FOLDER) or DEFAULT_STACK_FOLDER) / "env"
    if not path.is_file():
        return {}
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _others(choices: tuple[str, ...], stack: Mapping[str, str]) -> list[str]:
    """The names of variables by which the user has chosen something other than the stack."""
    return sorted(
        name
        for name, value in os.environ.items()
        if name.startswith(choices) and value and _same_host(value) != stack.get(name)
    )


def _same_host(value: str) -> str:
    """The address with the host as the stack writes it."""
    return value.replace("localhost:", "127.0.0.1:", 1)


def _forget_s3(stack: Mapping[str, str]) -> None:
    """Remove variables of the stack's S3 server that were set before the user named credentials of their own."""
    address = _ADDRESS["S3"]
    if os.environ.get(address) == stack[address]:
        for name, value in stack.items():
            if name.startswith("AWS_") and os.environ.get(name) == value:
                del os.environ[name]


def _take_switches(stack: Mapping[str, str]) -> None:
    if "DO_NOT_TRACK" in stack:
        os.environ["DO_NOT_TRACK"] = stack["DO_NOT_TRACK"]
    for name in _NO_PROXY:
        # The user's own exceptions may have changed since the stack was started.
        if name in stack:
            hosts = [*os.environ.get(name, "").split(","), *stack[name].split(",")]
            os.environ[name] = ",".join(dict.fromkeys(filter(None, hosts)))
