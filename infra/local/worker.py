"""The Prefect worker of the stack. It runs deployments, each run in a process of its own."""

import json
import sys

from infra.errors import StackError
from infra.local.service import Service, fetch
from infra.local.stack import Stack

POOL = "attgan"
NEEDS = ("prefect", "s3", "ray")


def worker(stack: Stack) -> Service:
    """A Prefect worker of type `process`. It creates its work pool.

    Runs inherit its environment, which has the addresses and credentials. So none of them is in a deployment or a
    parameter.
    """
    folder = stack.folder / "worker"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {"name": name(stack), "pool": POOL, "type": "process"}
    chosen = (f"--{option}={value}" for option, value in options.items())
    return Service(
        name="worker",
        title="Worker",
        links=(("Worker", f"{stack.address('prefect')}/work-pools/work-pool/{POOL}"),),
        command=(sys.executable, "-m", "prefect", "worker", "start", *chosen),
        environment={
            # Seconds between two requests for runs that are due. With the default of 10, a run that is started in the
            # UI begins late.
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        },
        folder=folder,
        check=lambda: _check(stack),
        needs=NEEDS,
        # A run that is stopped writes a checkpoint, releases its lease and reports to the server. The worker itself
        # would not wait for it.
        works=30.0,
    )


def name(stack: Stack) -> str:
    """The name of the worker on the server, which is new for each start of a stack."""
    return f"local-{stack.mark[:8]}"


def _check(stack: Stack) -> None:
    url = f"{stack.address('prefect')}/api/work_pools/{POOL}/workers/filter"
    found = json.loads(fetch(url, {"Content-Type": "application/json"}, body=b"{}"))
    states = {known["name"]: known["status"] for known in found}
    # The server shows it as offline after a minute and a half without a heartbeat.
    if states.get(name(stack)) != "ONLINE":
        raise StackError(f"the Prefect server does not receive its heartbeats (work pool {POOL})")
