"""`ray start …` for busy machines: `python -m infra.local.ray_start start --head …`.

Ray waits 30 seconds for the node that it starts, a constant in its code, and polls for it without a pause. On a busy
machine that is too short, and the polling takes a CPU from the node. Here it polls five times a second, for as long as
the process that has started Ray allows.

The server of the Ray client (`ray://`) is not started, because the flows refuse it.

Ray's node process aborts if its helpers have not written down their ports within 15 seconds, another constant, and
nobody notices while the node is waited for. It does not wait for ports that are options. For the one that Ray does not
pass on, the file is written before. If the node process dies all the same, everything is started once more.
"""

import contextlib
import inspect
import os
import sys
import threading
import time

import psutil
from ray._private import services
from ray._raylet import DASHBOARD_AGENT_LISTEN_PORT_NAME, persist_port  # type: ignore[attr-defined]  # not in its stubs
from ray.scripts import scripts

# The most seconds that it waits, if no other process ends it.
_LIMIT = 1800.0
# Seconds between two requests.
_PAUSE = 0.2
# The most starts; the environment variable holds the number of the current one.
_STARTS = 4
_START = "ATTGAN_RAY_START"


def patch_node_wait() -> None:
    """Make Ray's request for a node wait until the node has joined, and start again if the node dies before."""
    ask = services.get_node
    joined = threading.Event()

    def wait_for_node(gcs_address: str, node_id: str) -> object:
        end = time.monotonic() + _LIMIT
        while True:
            try:
                node = ask(gcs_address, node_id)
                joined.set()
                return node
            except RuntimeError:
                # The node has not joined yet.
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    def watch() -> None:
        # From then on `ray start --block` notices when one of its processes dies, and ends.
        while not joined.wait(1.0):
            if _node_has_died():
                _start_again()

    services.get_node = wait_for_node
    threading.Thread(target=watch, name="watch the node's start", daemon=True).start()


def patch_client_server() -> None:
    """Leave out the server of the Ray client. No option does that where the client's dependencies are installed."""
    scripts.get_ray_client_dependency_error = lambda: "not used here"


def patch_helper_wait() -> None:
    """Write the file with the port of the dashboard agent before the agent does, so that the node process finds it."""
    start = services.start_raylet
    signature = inspect.signature(start)

    def start_raylet(*args: object, **options: object) -> object:
        given = signature.bind(*args, **options).arguments
        if port := given.get("dashboard_agent_listen_port"):
            persist_port(given["session_dir"], given["node_id"], DASHBOARD_AGENT_LISTEN_PORT_NAME, port)
        return start(*args, **options)

    services.start_raylet = start_raylet


def _node_has_died() -> bool:
    return any(
        child.name() == "raylet" and child.status() == psutil.STATUS_ZOMBIE
        for child in psutil.Process().children()
    )


def _start_again() -> None:
    """Replace this process, and all of its threads, by another start; or end it after enough of them."""
    start = int(os.environ.get(_START, "1"))
    if start == _STARTS:
        print(f"Ray's node process has died in {start} starts; see raylet.out in the logs", flush=True)
        os._exit(1)
    print(f"Ray's node process has died while it started; start {start + 1} of {_STARTS}", flush=True)
    os.environ[_START] = str(start + 1)
    # By its path: a node's Python may not have our packages.
    os.execv(sys.executable, [sys.executable, "-P", __file__, *sys.argv[1:]])


def _clear_earlier_start() -> None:
    """End what an earlier start of this process has left."""
    # The node's helpers are no longer children of this process. All of them name the folder of the session.
    folder = next(word for word in sys.argv if word.startswith("--temp-dir=")).partition("=")[2]
    left = set(psutil.Process().children(recursive=True))
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and any(folder in word for word in process.info["cmdline"] or ()):
            left.add(process)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=15)


if __name__ == "__main__":
    if _START in os.environ:
        _clear_earlier_start()
    patch_node_wait()
    patch_client_server()
    patch_helper_wait()
    # Milliseconds in which the helpers must answer the node process. The default is 30 seconds.
    os.environ.setdefault("RAY_agent_register_timeout_ms", "600000")
    scripts.main()
