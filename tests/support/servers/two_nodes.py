"""A Ray cluster of two nodes on this machine that share nothing but the stack's S3 and Prefect servers.

Each node is a ``ray start`` of its own, with its own folders, and a Python that has everything but our packages: they
must come with the job. A driver runs as a process of its own, elsewhere than in the repository, since Ray's workers
look for modules where their driver was started:

    with two_nodes(stack) as nodes:
        process = nodes.start("train", "--dataset=s3://…", …)      # `attgan train …`
        nodes.kill("worker")                                       # the node and all that runs on it
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import StackError
from infra.local import processes
from infra.local.environment import inherited
from infra.local.ports import free_ports
from infra.local.ray_head import LIST_NODES, call
from infra.local.stack import write_private
from tests.support.processes import kill_all
from tests.support.waiting import wait_until

OURS = ("attgan", "flows", "infra", "tests")
_PORTS = ("node-manager-port", "object-manager-port", "runtime-env-agent-port", "metrics-export-port")
_AGENT_PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port")
_NEVER = ("RAY_ADDRESS", "PYTHON", "ATTGAN_")  # of the stack or of this process: not for the nodes


@dataclass
class TwoNodes:
    """The cluster while it is up.

    Attributes:
        folder: where drivers are started, and where the nodes have their folders.
        environment: of a driver; it leads to this cluster and to the stack's other servers.
        python: of the nodes.
    """

    folder: Path
    environment: dict[str, str]
    python: Path
    mark: str
    running: dict[str, processes.Process] = field(default_factory=dict)
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``attgan ARGUMENTS`` in a process group of its own; what it prints is added to :attr:`log`."""
        return self.start_python("-m", "flows.cli", *arguments)

    def start_python(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Likewise, this process's Python, which has our packages: to run a script against the cluster."""
        with self.log.open("ab") as log:
            driver = subprocess.Popen(
                [sys.executable, "-P", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.drivers.append(driver)
        return driver

    @property
    def log(self) -> Path:
        """What drivers have printed."""
        return self.folder / "log"

    def kill(self, node: str) -> None:
        """SIGKILL the node "head" or "worker" with all that runs on it, as a lost machine would be."""
        leader = self.running.pop(node)
        kill_all(processes.members(leader))


@contextlib.contextmanager
def two_nodes(stack: Mapping[str, str], cpus: tuple[int, int] = (1, 1)) -> Iterator[TwoNodes]:
    """Start the cluster beside a stack's Prefect and S3 servers, and stop it with everything that was started in it.

    Args:
        stack: the environment that leads to the stack, as the fixture of this name gives it.
        cpus: of the nodes "head" and "worker". A driver joins the head.
    """
    folder = Path(tempfile.mkdtemp(prefix="attgan-2n-"))  # short: socket paths stay below 108 characters
    nodes: TwoNodes | None = None
    try:
        token = secrets.token_hex(32)
        write_private(folder / "token", token)
        (port,) = free_ports(["ray"]).values()
        address = f"127.0.0.1:{port}"
        kept = {name: value for name, value in stack.items() if not name.startswith(_NEVER)}
        own = {
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # with 0 as in the stack a cluster has one node only
        }
        common = _without_ours(inherited()) | kept | own
        nodes = TwoNodes(
            folder=folder,
            environment=common | {"RAY_ADDRESS": address},
            python=_python_without_ours(folder / "venv"),
            mark=secrets.token_hex(16),
        )
        _start_node(nodes, "head", ["--head", f"--port={port}"], cpus[0], common, taken=[port])
        _start_node(nodes, "worker", [f"--address={address}"], cpus[1], common, taken=[port])
        for name in nodes.running:
            _wait_for(port, token, name, folder / f"{name}.log")
        yield nodes
    finally:
        if nodes is not None:
            _stop(nodes)
        shutil.rmtree(folder, ignore_errors=True)


def _start_node(
    nodes: TwoNodes,
    name: str,
    role: Sequence[str],
    cpus: int,
    environment: Mapping[str, str],
    taken: Sequence[int],
) -> None:
    home = nodes.folder / name
    home.mkdir()
    ports = free_ports([*_PORTS, *_AGENT_PORTS, "DASHBOARD_METRIC_PORT", "AUTOSCALER_METRIC_PORT"], taken)
    options: dict[str, object] = {option: ports[option] for option in (*_PORTS, *_AGENT_PORTS)}
    options |= {
        "node-ip-address": "127.0.0.1",
        "node-name": name,
        "num-cpus": cpus,
        "num-gpus": 0,
        "object-store-memory": 100 * 2**20,
        "temp-dir": home,
        "log-style": "record",
        "log-color": "false",
    }
    if name == "head":
        options |= {
            "ray-client-server-port": free_ports(["client"], taken)["client"],
            "include-dashboard": "false",
        }
    own = {metric: str(ports[metric]) for metric in ("DASHBOARD_METRIC_PORT", "AUTOSCALER_METRIC_PORT")}
    nodes.running[name] = processes.launch(
        [
            str(nodes.python),
            "-P",
            str(Path(processes.__file__).with_name("ray_start.py")),
            "start",
            "--block",
            *role,
            *(f"--{key}={value}" for key, value in options.items()),
        ],
        {**environment, **own, processes.MARK: nodes.mark, "SPT_NOENV": "1", "TMPDIR": str(home)},
        nodes.folder / f"{name}.log",
        home,
    )


def _python_without_ours(folder: Path) -> Path:
    """An environment with all packages of this process's own, but not ours.

    They are found in the folders where they are installed; links between environments (``*.pth``), through which an
    editable installation is found, count only in an environment's own.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    paths = sysconfig.get_paths()
    (site / "shared.pth").write_text("\n".join(dict.fromkeys([paths["purelib"], paths["platlib"]])) + "\n")
    look = f"import importlib.util as u; print([n for n in {OURS[:2]} if u.find_spec(n)])"
    found = subprocess.run(
        [python, "-P", "-c", look],
        env=_without_ours(dict(os.environ)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]", f"the nodes' Python has our packages without a job: {found.stdout}"
    return python


def _without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_NEVER)}


def _wait_for(port: int, token: str, name: str, log: Path) -> None:
    """Until the node of this name has joined."""

    def has_joined() -> bool:
        with contextlib.suppress(StackError):  # nobody answers yet
            return name.encode() in call(port, LIST_NODES, token)
        return False

    wait_until(has_joined, lambda: f"the node {name} to join: {log.read_text()[-500:]}")


def _stop(nodes: TwoNodes) -> None:
    for driver in nodes.drivers:
        if driver.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, 9)
        driver.wait()
    leaders = list(nodes.running.values())
    processes.end(lambda: processes.everything(nodes.mark, leaders), {leader.pid: 5.0 for leader in leaders})
