"""The worker that runs the deployments of the stack's Prefect server, each run a process of its own."""

import json
import sys

from infra.errors import StackError
from infra.local.service import Service, fetch
from infra.local.stack import Stack

POOL = "attgan"
NEEDS = ("prefect", "s3", "ray")


def worker(stack: Stack) -> Service:
    """A Prefect worker of type `process`. It makes its work pool, and hands its own environment to the runs.

    So a run finds servers and credentials there, and none of them stands in a deployment or a parameter.
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
            # Seconds between two looks for runs that are due (10 by default): who starts one in the UI waits for it.
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        },
        folder=folder,
        check=lambda: _check(stack),
        needs=NEEDS,
        # A run writes down where it stopped, gives back what it holds and tells the server. The worker would not wait.
        works=30.0,
    )


def name(stack: Stack) -> str:
    """The name of the worker on the server, another one each time that a stack is started."""
    return f"local-{stack.mark[:8]}"


def _check(stack: Stack) -> None:
    url = f"{stack.address('prefect')}/api/work_pools/{POOL}/workers/filter"
    found = json.loads(fetch(url, {"Content-Type": "application/json"}, body=b"{}"))
    states = {known["name"]: known["status"] for known in found}
    # The server calls it offline when it has not been heard of for a minute and a half.
    if states.get(name(stack)) != "ONLINE":
        raise StackError(f"the Prefect server does not hear of it (work pool {POOL})")
