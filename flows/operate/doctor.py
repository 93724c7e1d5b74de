"""A health check: what is installed, what can be reached from here, and what is missing, one line each."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from prefect.client.orchestration import get_client

from attgan.errors import UserError
from attgan.version import VERSION
from flows.runtime.cluster import capacity, connection
from flows.storage import StorageError, open_store
from flows.storage.bundles import inspect
from flows.storage.s3.aws import open_session
from flows.urls import DEFAULT_BUNDLE
from flows.words import counted

Check = Callable[[], str]
_GIB = 2**30


def examine(places: tuple[str, ...] = ()) -> Iterator[Mapping[str, str]]:
    """Check everything that the flows need, one thing after the other: some take seconds.

    Args:
        places: URLs that runs will write to; an object is neither written nor read there.

    Yields:
        A row for each check: ``check``, ``ok`` (``yes`` or ``no``), ``found``.
    """
    checks: dict[str, Check] = {
        "attgan": _program,
        "torch": _torch,
        "default bundle": _bundle,
        "free space": _space,
        "Prefect server": _prefect,
        "workers": _workers,
        "Ray cluster": _ray,
        "S3 credentials": _credentials,
    }
    checks |= {place: partial(_place, place) for place in places}
    for name, check in checks.items():
        yield _row(name, check)


def _row(name: str, check: Check) -> Mapping[str, str]:
    try:
        return {"check": name, "ok": "yes", "found": check()}
    except (UserError, StorageError, OSError) as problem:
        return {"check": name, "ok": "no", "found": " ".join(str(problem).split())}


def _program() -> str:
    return f"{VERSION} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def _torch() -> str:
    # It takes seconds to import, in which the lines before this one can be read.
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{torch.__version__}; {', '.join(gpus) or 'no GPU'}; {len(os.sched_getaffinity(0))} CPUs"


def _bundle() -> str:
    bundle = inspect(DEFAULT_BUNDLE)
    return f"{bundle.digest[:16]}, {bundle.config.generator.image_size} px"


def _space() -> str:
    free = {place: shutil.disk_usage(place).free / _GIB for place in (".", tempfile.gettempdir())}
    return ", ".join(f"{gibibytes:,.0f} GiB in {place}" for place, gibibytes in free.items())


def _prefect() -> str:
    url = connection.require_prefect()
    with get_client(sync_client=True) as client:
        return f"{client.api_version()} at {url}"


def _workers() -> str:
    connection.require_prefect()
    with get_client(sync_client=True) as client:
        pools = {pool.name: connection.online_workers(client, pool.name) for pool in client.read_work_pools()}
    if not any(pools.values()):
        raise UserError(
            "workers-missing",
            "no worker is online: runs of deployments and schedules wait; `attgan up` starts one here",
        )
    return ", ".join(f"{count} in the work pool {name}" for name, count in pools.items() if count)


def _ray() -> str:
    connection.connect_ray()
    capacity.require_possible(1, 0)
    found = capacity.resources()
    size = f"{counted(found.nodes, 'node')}, {counted(found.cpus, 'CPU')}, {counted(found.gpus, 'GPU')}"
    if more := capacity.tasks_at_most(1, 0) - capacity.tasks_now(1, 0):
        size += f", {counted(more, 'CPU')} more with its autoscaler"
    return f"{size} at {connection.require_ray_address()}"


def _credentials() -> str:
    credentials = open_session("S3").get_credentials()
    source = "requests are not signed" if credentials is None else f"from {credentials.method}"
    return f"{source}; endpoint {os.environ.get('AWS_ENDPOINT_URL') or 'of AWS'}"


def _place(url: str) -> str:
    open_store(url, option="PLACES").check(write=True)
    return "can be listed and written to"
