"""The nodes of a Ray cluster elsewhere: our packages are sent to them, and they are asked what they have.

The workers of the local stack import the very code that its drivers run (the stack says so in the environment), so
nothing is sent there and nobody asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attgan.errors import UserError
from flows.runtime.local_stack import LOCAL_RAY

PACKAGES = ("attgan", "flows")  # that travel
SAME = ("ray", "torch", "prefect")  # in the driver's very version
# In this major version or a newer one, as in pyproject.toml: the decoders of older ones overflow on crafted images.
OLDEST = {"pillow": 13}
NEEDED = (
    *SAME,
    *("boto3", "numpy", "obstore", "pillow", "prefect-ray", "psutil", "pyarrow", "pydantic", "safetensors"),
    *("simplejpeg", "torchvision"),
    *("fsspec", "pandas", "requests"),  # without which Ray Tune cannot be imported
)
_NOT_SENT = ["__pycache__", "*.pyc"]
_PATIENCE = 120.0  # seconds for a node to unpack what is sent and to start a worker
_KNOCK = 5.0  # seconds


@dataclass(frozen=True)
class NodeReport:
    """What one node has.

    Attributes:
        python: its version, as "3.11".
        versions: of the :data:`NEEDED` distributions; None of one that is not installed.
        code: the digest of our packages as its workers import them.
        silent: the addresses that do not answer it.
    """

    python: str
    versions: dict[str, str | None]
    code: str
    silent: tuple[str, ...] = ()


def shares_code(address: str) -> bool:
    """Whether the workers of the cluster at this address import the very code that this process runs."""
    return os.environ.get(LOCAL_RAY) == address


def runtime_env() -> dict[str, Any]:
    """Ray's description of what a cluster elsewhere is sent: our two packages, with the data in them."""
    return {"py_modules": [str(_folder(package)) for package in PACKAGES], "excludes": _NOT_SENT}


def check_nodes(prefect_url: str | None = None) -> None:
    """Ask each node of the connected cluster whether it can do this process's work.

    Args:
        prefect_url: of the Prefect server, to which every worker reports.

    Raises:
        UserError: a node lacks a package, has another version of Python, Ray, torch or Prefect or too old a Pillow,
            has GPUs and a torch without CUDA, does not get our packages, does not reach the Prefect server, or does
            not answer.
    """
    addresses = [prefect_url] if prefect_url else []
    wanted = report(addresses)
    for node, found in _ask_nodes(report, addresses):
        problems = differences(found, wanted, gpus=node["Resources"].get("GPU", 0))
        if problems:
            raise UserError(
                "node-unfit", f"the node {_name(node)} cannot work for this process: {'; '.join(problems)}"
            )


def require_reachable(inputs: Mapping[str, str | None], destination: str | None = None) -> None:
    """Refuse folders of this machine that the connected cluster's nodes do not see.

    Args:
        inputs: URL of what is read by option ("--dataset"); None where there is none. What is not here either is for
            others to refuse.
        destination: URL of what is written, which need not be there yet.

    Raises:
        UserError: a node does not see one of them. URLs with a scheme are reached from everywhere.
    """
    paths = {option: url for option, url in inputs.items() if url is not None and os.path.isabs(url)}
    paths = {option: path for option, path in paths.items() if os.path.exists(path)}
    writes = destination is not None and os.path.isabs(destination)
    if shares_code(os.environ.get("RAY_ADDRESS", "")) or not (paths or writes):
        return  # the local stack is this machine
    with contextlib.ExitStack() as cleanup:
        marks = dict(paths)
        if writes:
            assert destination is not None
            marks["--destination"] = cleanup.enter_context(_marked(destination))
            paths["--destination"] = destination
        for node, missing in _ask_nodes(missing_of, marks):
            for option in missing:
                raise UserError(
                    "node-lacks-folder",
                    f"{option} {paths[option]}: the node {_name(node)} has no such folder; on several machines "
                    "a place is needed that all of them reach (s3://BUCKET/PREFIX)",
                )


def report(addresses: list[str]) -> NodeReport:
    """What this process has, and which of these URLs do not answer it. It imports nothing that a node may lack."""
    return NodeReport(
        python=".".join(platform.python_version_tuple()[:2]),
        versions={name: _version(name) for name in NEEDED},
        code=code_digest(),
        silent=tuple(address for address in addresses if not _answers(address)),
    )


def missing_of(paths: dict[str, str]) -> list[str]:
    """The options whose paths this process does not see."""
    return [option for option, path in paths.items() if not os.path.exists(path)]


def code_digest() -> str:
    """The sha256 of our packages as this process imports them: of every file's name and content."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        folder = _folder(package)
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        for path in sorted(files):
            name = f"{package}/{path.relative_to(folder).as_posix()}"
            digest.update(f"{len(name)} {name} {path.stat().st_size} ".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def differences(found: NodeReport, wanted: NodeReport, *, gpus: float = 0) -> list[str]:
    """What keeps a node with this report, and so many GPUs, from the work; nothing if it fits."""
    problems = []
    if found.python != wanted.python:
        problems.append(f"it has Python {found.python}, {wanted.python} is wanted")
    for name, needed in wanted.versions.items():
        version = found.versions.get(name)
        if version is None:
            problems.append(f"{name} is not installed there ({needed} is wanted)")
        elif name in SAME and needed is not None and _public(version) != _public(needed):
            problems.append(f"it has {name} {version}, {needed} is wanted")
        elif int(version.partition(".")[0]) < OLDEST.get(name, 0):
            problems.append(f"it has {name} {version}, {OLDEST[name]} or newer is wanted")
    torch = found.versions.get("torch")
    if gpus and torch and torch.endswith("+cpu"):
        problems.append(f"it has {gpus:g} GPU(s), but its torch {torch} is built without CUDA")
    if found.code != wanted.code:
        problems.append("its workers import other code of attgan than this process")
    problems += [f"{address} does not answer it" for address in found.silent if address not in wanted.silent]
    return problems


def _ask_nodes(question: Callable[..., Any], argument: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Have each living node answer a question in a worker of its own, all at once; yields nodes and answers.

    Raises:
        UserError: a node cannot run our code, or does not answer in time.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    asking = ray.remote(num_cpus=0, max_retries=0)(question)
    asked = {
        asking.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote(argument): node
        for node in ray.nodes()
        if node["Alive"]
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE)
    for reference in answered:
        node = asked[reference]
        try:
            yield node, ray.get(reference)
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            continue  # it has left the cluster meanwhile
        except ray.exceptions.RayError as error:
            raise UserError(
                "node-cannot-run-code", f"the node {_name(node)} cannot run our code: {_last_line(error)}"
            ) from error
    for reference in silent:
        raise UserError(
            "node-silent", f"the node {_name(asked[reference])} has not answered within {_PATIENCE:g} s"
        )


@contextlib.contextmanager
def _marked(folder: str) -> Iterator[str]:
    """A file for this while in a folder, or in the nearest one above it that there is, by which others know it."""
    nearest = Path(folder)
    while not nearest.is_dir():
        nearest = nearest.parent
    try:
        mark = tempfile.NamedTemporaryFile(dir=nearest, prefix=".attgan-", suffix=".reached")  # noqa: SIM115
    except OSError as error:
        raise UserError(
            "directory-unwritable",
            f"--destination {folder}: {nearest} cannot be written to: {error.strerror}",
        ) from None
    with mark:
        yield mark.name


def _name(node: Mapping[str, Any]) -> str:
    """How a person knows it: by the name that it was given, or by its host's, with its address."""
    address = str(node["NodeManagerAddress"])
    name = node.get("NodeName") or address
    return f"{node['NodeManagerHostname'] if name == address else name} ({address})"


def _folder(package: str) -> Path:
    found = util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations)))


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _public(version: str) -> str:
    """Without what says how it was built: "2.14.1+cu128" is 2.14.1."""
    return version.partition("+")[0]


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_KNOCK).close()
    except OSError:
        return False
    return True


def _last_line(error: BaseException) -> str:
    """What a worker's traceback ends with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
