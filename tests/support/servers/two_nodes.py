"""A Ray cluster of two nodes on this machine that share nothing but the stack's S3 and Prefect servers.

Each node is a ``ray start`` of its own, with its own folders, and a Python that has everything but our packages: they
must come with the job. A driver runs as a process of its own, elsewhere than in the repository, since Ray's workers
look for modules where their driver was started:

    with two_nodes(stack) as nodes:
        process = nodes.start("train", "--dataset=s3://…", …)      # `attgan train …`
        nodes.kill("worker")                                       # the node and all that runs on it

Or a cluster of a head without CPUs, whose autoscaler starts and stops workers of real processes on this machine:

    with autoscaled(stack, {"cpu-worker": ({"CPU": 1}, 2)}, version=2) as nodes:
"""

import contextlib
import json
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
from tests.support.waiting import LIMIT, wait_until

# As Ray's provider of nodes for tests calls the head. An import of ray here would fix its settings too early.
FAKE_HEAD_NODE_ID = "f" * 51 + "00000"
_HEAD_TYPE = "ray.head.default"
OURS = ("attgan", "flows", "infra", "tests")
_PORTS = ("node-manager-port", "object-manager-port", "runtime-env-agent-port", "metrics-export-port")
_AGENT_PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port")
# Of the stack or of this process: not for the nodes.
_NEVER = ("RAY_ADDRESS", "PYTHON", "ATTGAN_")


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

    def output(self, *arguments: str, code: int = 0) -> str:
        """What ``attgan ARGUMENTS``, or Python with these, prints, once it has ended with this code."""
        before = self.log.stat().st_size if self.log.exists() else 0
        start = self.start_python if arguments[0] == "-c" else self.start
        ended = start(*arguments).wait(LIMIT)
        said = self.log.read_bytes()[before:].decode()
        assert ended == code, said
        return said

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
    with _own_cluster(stack) as (nodes, common, port, token):
        _start_node(nodes, "head", ["--head", f"--port={port}"], cpus[0], common, taken=[port])
        _start_node(nodes, "worker", [f"--address=127.0.0.1:{port}"], cpus[1], common, taken=[port])
        for name in nodes.running:
            _wait_for(port, token, name, nodes.folder / f"{name}.log")
        yield nodes


@contextlib.contextmanager
def autoscaled(
    stack: Mapping[str, str], types: Mapping[str, tuple[dict[str, float], int]], version: int
) -> Iterator[TwoNodes]:
    """Start a head without CPUs beside a stack's Prefect and S3 servers, with Ray's autoscaler for tests.

    Ray's own `ray.cluster_utils.AutoscalingCluster` first ends every Ray process of this machine.

    Args:
        stack: as of :func:`two_nodes`.
        types: of the workers: the resources of each type, and the most nodes of it.
        version: of the autoscaler, 1 or 2.
    """
    with _own_cluster(stack) as (nodes, common, port, token):
        config = nodes.folder / "autoscaling.json"
        config.write_text(json.dumps(_autoscaling(types, port)))
        fake = {
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            # As `ray up` and KubeRay do. Without it the second version of the autoscaler fails for ever if the head has
            # joined before the autoscaler first looks, as on a busy machine.
            "RAY_NODE_TYPE_NAME": _HEAD_TYPE,
            "RAY_enable_autoscaler_v2": str(version - 1),
        }
        role = ["--head", f"--port={port}", f"--autoscaling-config={config}"]
        _start_node(nodes, "head", role, 0, common | fake, taken=[port])
        _wait_for(port, token, "head", nodes.folder / "head.log")
        yield nodes


def _autoscaling(types: Mapping[str, tuple[dict[str, float], int]], port: int) -> dict[str, object]:
    """The file of a cluster, as of `ray up`, whose nodes are started by Ray's provider for tests."""
    workers = {
        name: {
            "resources": resources | {"object_store_memory": 100 * 2**20},
            "node_config": {},
            "max_workers": most,
        }
        for name, (resources, most) in types.items()
    }
    lists = [
        "cluster_synced_files",
        "rsync_exclude",
        "rsync_filter",
        "initialization_commands",
        "setup_commands",
    ]
    lists += [f"{node}_{what}_commands" for node in ("head", "worker") for what in ("setup", "start_ray")]
    return {
        "cluster_name": "for-tests",
        "max_workers": sum(most for _, most in types.values()),
        "idle_timeout_minutes": 0.2,
        "upscaling_speed": 1.0,
        "provider": {
            # By its other name, "fake_multinode", the second version of the autoscaler looks for a file of defaults.
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": f"127.0.0.1:{port}",
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "use_node_id_as_ip": True,
        },
        "available_node_types": workers
        | {_HEAD_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}},
        "head_node_type": _HEAD_TYPE,
        "file_mounts_sync_continuously": False,
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in lists},
    }


@contextlib.contextmanager
def _own_cluster(stack: Mapping[str, str]) -> Iterator[tuple[TwoNodes, dict[str, str], int, str]]:
    """A cluster without nodes, the environment of its nodes, the head's port and the token. Ends all in the end."""
    # Short: socket paths stay below 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="attgan-2n-"))
    nodes: TwoNodes | None = None
    try:
        token = secrets.token_hex(32)
        write_private(folder / "token", token)
        (port,) = free_ports(["ray"]).values()
        kept = {name: value for name, value in stack.items() if not name.startswith(_NEVER)}
        own = {
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            # With 0 as in the stack a cluster has one node only.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        }
        common = _without_ours(inherited()) | kept | own
        nodes = TwoNodes(
            folder=folder,
            environment=common | {"RAY_ADDRESS": f"127.0.0.1:{port}"},
            python=_python_without_ours(folder / "venv"),
            mark=secrets.token_hex(16),
        )
        yield nodes, common, port, token
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
        options |= {"include-dashboard": "false"}
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
        # Nobody answers yet.
        with contextlib.suppress(StackError):
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
