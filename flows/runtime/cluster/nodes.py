"""Checks the nodes of a Ray cluster other than the local stack's, and uploads our packages to them.

Workers of the local stack import the same code as this process (the stack says so in the environment), so nothing is
uploaded there, and the nodes are not checked.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import runpy
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attgan.errors import UserError
from flows.runtime.local_stack import LOCAL_RAY
from flows.words import counted

# The packages that are uploaded.
PACKAGES = ("attgan", "flows")
# A node needs exactly the driver's version of these, with the build label ("+cu130"). The first two have to understand
# each other. The others decide the bytes of the results, so their versions belong to a run
# (flows.edit.fingerprint.versions).
SAME = ("ray", "prefect", "torch", "pillow", "simplejpeg", "imagecodecs")
NEEDED = (
    *SAME,
    *("boto3", "numpy", "obstore", "prefect-ray", "psutil", "pyarrow", "pydantic", "safetensors"),
    *("filelock", "matplotlib", "torchvision"),
)
_NOT_SENT = ["__pycache__", "*.pyc"]
# The environment variable of workers with the report of the process that they work for.
_WANTED = "ATTGAN_WANTED"
# Seconds for a node to unpack our packages and start a worker.
_PATIENCE = 120.0
# Seconds for an address to accept a connection.
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class NodeReport:
    """What is installed on one node.

    Attributes:
        python: the version of Python, such as "3.11".
        versions: the versions of the :data:`NEEDED` distributions; None for one that is not installed.
        code: the digest of our packages, as workers there import them.
        silent: the addresses that it cannot connect to.
    """

    python: str
    versions: dict[str, str | None]
    code: str
    silent: tuple[str, ...] = ()


def shares_code(address: str) -> bool:
    """Whether workers of the cluster at this address import the same files as this process."""
    return os.environ.get(LOCAL_RAY) == address


def is_local_stack() -> bool:
    """Whether the cluster of this process is the local stack's, which has one node."""
    return shares_code(os.environ.get("RAY_ADDRESS", ""))


def runtime_env() -> dict[str, Any]:
    """The Ray runtime environment that uploads our two packages, with their data files, and says what workers need."""
    return {
        "py_modules": [str(_folder(package)) for package in PACKAGES],
        "excludes": _NOT_SENT,
        "env_vars": {_WANTED: json.dumps(asdict(report([])))},
    }


@functools.cache
def require_fit() -> None:
    """Check in a worker, before its first task, that its node is fit: it may have joined after :func:`check_nodes`.

    Raises:
        UserError: it has other versions than the process that it works for.
    """
    if wanted := os.environ.get(_WANTED):
        _refuse_unfit(socket.gethostname(), differences(report([]), NodeReport(**json.loads(wanted))))


def check_nodes() -> None:
    """Check that each node of the connected cluster can run our tasks. On the local stack nothing is checked.

    Raises:
        UserError: a node lacks a package; has another version of Python, or of a package in :data:`SAME`; has GPUs but
            a torch without CUDA; does not receive our packages; cannot connect to the Prefect server; or does not
            answer.
    """
    from prefect.settings import PREFECT_API_URL

    if is_local_stack():
        return
    # Every worker needs the Prefect server.
    url = PREFECT_API_URL.value()
    addresses = [str(url)] if url else []
    wanted = report(addresses)
    for node, found in _ask_nodes(report, addresses):
        _refuse_unfit(_name(node), differences(found, wanted, gpus=node["Resources"].get("GPU", 0)))


def _refuse_unfit(node: str, problems: list[str]) -> None:
    if problems:
        raise UserError("node-unfit", f"the node {node} cannot work for this process: {'; '.join(problems)}")


def require_reachable(inputs: Mapping[str, str | None], destination: str | None = None) -> None:
    """Check that the nodes of the connected cluster see the folders of this machine that a flow uses.

    URLs with a scheme are not checked: every node reaches those. Nor are inputs that do not exist here, which are
    refused when they are opened.

    Args:
        inputs: the URL of each input, by option ("--dataset"); None where an option is not set.
        destination: the URL of the output, which need not exist yet.

    Raises:
        UserError: a node does not see one of the folders.
    """
    paths = {option: url for option, url in inputs.items() if url is not None and os.path.isabs(url)}
    paths = {option: path for option, path in paths.items() if os.path.exists(path)}
    writes = destination is not None and os.path.isabs(destination)
    if is_local_stack() or not (paths or writes):
        # All nodes of the local stack are this machine.
        return
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
    """What is installed here, and which URLs this process cannot connect to. Imports nothing that a node may lack."""
    return NodeReport(
        python=".".join(platform.python_version_tuple()[:2]),
        versions={name: _version(name) for name in NEEDED},
        code=code_digest(),
        silent=tuple(address for address in addresses if not _answers(address)),
    )


def missing_of(paths: dict[str, str]) -> list[str]:
    """The options whose paths do not exist for this process."""
    return [option for option, path in paths.items() if not os.path.exists(path)]


def code_digest() -> str:
    """The sha256 of the names and contents of all files of our packages, as this process imports them."""
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
    """The reasons why a node with this report and this many GPUs cannot run our tasks; empty if it can."""
    problems = []
    if found.python != wanted.python:
        problems.append(f"it has Python {found.python}, {wanted.python} is wanted")
    for name, needed in wanted.versions.items():
        version = found.versions.get(name)
        if version is None:
            problems.append(f"{name} is not installed there ({needed} is wanted)")
        elif name in SAME and version != needed:
            problems.append(f"it has {name} {version}, {needed} is wanted")
    torch = found.versions.get("torch")
    if gpus and torch and torch.endswith("+cpu"):
        problems.append(f"it has {counted(gpus, 'GPU')}, but its torch {torch} is built without CUDA")
    if found.code != wanted.code:
        problems.append("its workers import other code of attgan than this process")
    problems += [f"{address} does not answer it" for address in found.silent if address not in wanted.silent]
    return problems


def _ask_nodes(question: Callable[..., Any], argument: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Call a function in a worker on each living node, on all at the same time, and yield nodes and results.

    Raises:
        UserError: a node cannot run the function, or does not answer in time.
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
            # The node has left the cluster meanwhile.
            continue
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
    """A temporary file in a folder, or in its nearest parent that exists, by which a node recognises the folder."""
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
    """A node's name for messages: the name that it was given, or that of its host, with its address."""
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
        installed = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
    # Without its import, which takes seconds. The metadata of torch from PyPI lacks the build label.
    return (
        runpy.run_path(str(_folder("torch") / "version.py"))["__version__"]
        if distribution == "torch"
        else installed
    )


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _last_line(error: BaseException) -> str:
    """The last line of a worker's traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
