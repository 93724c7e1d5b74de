"""The environment variables by which clients and servers of a stack find each other."""

import os
import shlex
from collections.abc import Mapping

from infra.local.credentials import credentials
from infra.local.processes import MARK
from infra.local.s3_server import REGION
from infra.local.stack import Stack, write_private
from infra.local.worker import POOL

# The user's own cloud account, Prefect workspace or Ray cluster must not leak into a stack.
_FOREIGN = (
    "ATTGAN_LOCAL_",
    "AWS_",
    "PREFECT_API_",
    "PREFECT_DEFAULT_WORK_POOL_NAME",
    "PREFECT_PROFILE",
    "PREFECT_SERVER_",
    "RAY_ADDRESS",
    "RAY_AUTH_",
    "RAY_TMPDIR",
    "WEED_",
)

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def client_environment(stack: Stack) -> dict[str, str]:
    """The variables that a client of the stack needs: addresses, credentials, and switches that keep it local."""
    keys = credentials(stack)
    found = {"DO_NOT_TRACK": "1"}
    if "prefect" in stack.services:
        found |= {
            "PREFECT_API_URL": stack.address("prefect") + "/api",
            "PREFECT_HOME": str(stack.folder / "prefect"),
            # Without a server a flow fails with a message; it never starts a server of its own.
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        }
    if "worker" in stack.services:
        # For deployments that do not name a pool.
        found["PREFECT_DEFAULT_WORK_POOL_NAME"] = POOL
    if "s3" in stack.services:
        found |= {
            "AWS_ENDPOINT_URL": stack.address("s3"),
            # Ray's workers are started with these keys. A driver with other keys passes its own on to them.
            "ATTGAN_LOCAL_S3": stack.address("s3"),
            "AWS_ACCESS_KEY_ID": keys.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": keys.s3_secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    if "ray" in stack.services:
        found |= {
            "RAY_ADDRESS": stack.address("ray", scheme=""),
            # Workers at this address import the same files as their drivers, so no code has to be uploaded.
            "ATTGAN_LOCAL_RAY": stack.address("ray", scheme=""),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(keys.ray_token_file),
            # Ray's switch for clusters on one machine, named after the systems where it is the default. Every server
            # and worker binds 127.0.0.1 only, and the cluster survives a change of network.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_DEDUP_LOGS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    if any(name.lower() in _PROXIES for name in os.environ):
        for name in ("NO_PROXY", "no_proxy"):
            found[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost"]))
    return found


def inherited() -> dict[str, str]:
    """This process's environment, without variables that name another account, server or cluster."""
    return {
        name: value for name, value in os.environ.items() if name != MARK and not name.startswith(_FOREIGN)
    }


def write_environment(stack: Stack) -> None:
    """Write `<folder>/env` (mode 0600), KEY=value lines without quotes."""
    lines = (f"{name}={value}\n" for name, value in client_environment(stack).items())
    write_private(stack.folder / "env", "".join(lines))


def shell_lines(variables: Mapping[str, str]) -> list[str]:
    """Lines for `eval` in a POSIX shell. They also unset variables that name another server or account."""
    foreign = [name for name in os.environ if name.startswith(_FOREIGN) and name not in variables]
    drop = [f"unset {' '.join(sorted(foreign))}"] if foreign else []
    return drop + [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
