"""The local stack, as a flow meets it: a file of environment variables that it leaves while it is up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STACK_FOLDER = "ATTGAN_STACK_FOLDER"
DEFAULT_STACK_FOLDER = ".local/stack"
LOCAL_RAY = "ATTGAN_LOCAL_RAY"  # the address of the cluster whose workers import the same code as its drivers
LOCAL_S3 = "ATTGAN_LOCAL_S3"  # the endpoint whose keys the workers of that cluster were started with
_ADDRESS = {"Prefect": "PREFECT_API_URL", "Ray": "RAY_ADDRESS", "S3": "AWS_ENDPOINT_URL"}
# What says that the user means another server, cluster or account. A region or a CA bundle does not.
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
    """What was taken up of the local stack.

    Attributes:
        services: of the stack, that were taken up.
        because_of: the user's variables because of which a server or cluster was not.
        own_s3: where the user's own S3 credentials come from, if those are used with the stack's Ray: never the key.
    """

    services: list[str] = field(default_factory=list)
    because_of: list[str] = field(default_factory=list)
    own_s3: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that a flow uses is the local stack's."""
        return set(self.services) == set(_ADDRESS)


def adopt_local_stack() -> Adoption:
    """Take up the environment of the local stack, if one has been started, for whatever the user has not set.

    Each service by itself, with one exception: a cluster elsewhere could not reach the stack's S3 server. Variables
    that lead to the stack already (``eval "$(python -m infra env)"``) are no choice of another one.
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


def shares_s3() -> bool:
    """Whether the workers of the local Ray were started with the S3 settings of this process."""
    endpoint = os.environ.get(LOCAL_S3)
    return endpoint is not None and endpoint == os.environ.get(_ADDRESS["S3"])


def _source(others: list[str]) -> str:
    """Where botocore will find the credentials, in the order in which it looks."""
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
    """The names of variables with which the user has chosen something else than the stack."""
    return sorted(
        name
        for name, value in os.environ.items()
        if name.startswith(choices) and value and _same_host(value) != stack.get(name)
    )


def _same_host(value: str) -> str:
    """The address as the stack writes it."""
    return value.replace("localhost:", "127.0.0.1:", 1)


def _forget_s3(stack: Mapping[str, str]) -> None:
    """Where the environment led to the stack's S3 before the user named credentials, drop what is left of that."""
    address = _ADDRESS["S3"]
    if os.environ.get(address) == stack[address]:
        for name, value in stack.items():
            if name.startswith("AWS_") and os.environ.get(name) == value:
                del os.environ[name]


def _take_switches(stack: Mapping[str, str]) -> None:
    if "DO_NOT_TRACK" in stack:
        os.environ["DO_NOT_TRACK"] = stack["DO_NOT_TRACK"]
    for name in _NO_PROXY:
        if name in stack:  # the user's own exceptions may be others than when the stack was started
            hosts = [*os.environ.get(name, "").split(","), *stack[name].split(",")]
            os.environ[name] = ",".join(dict.fromkeys(filter(None, hosts)))
