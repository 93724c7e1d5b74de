"""Machines of their own: each has an address, files, processes and a host name that no other one sees.

A machine is a set of Linux namespaces. It sees this system's programs, read-only, and otherwise an empty file system in
memory; our code is only on the head, where drivers are. A machine runs one service of ``infra/cluster/compose.yaml``,
by the command and the environment that stand there and in the Dockerfile. All are on one switch, as is this process:

    with cluster(folder) as machines:
        machines.add("ray-worker-1")
        driver = machines.start_driver("edit", "--source=s3://…", …)      # `attgan edit …` on the head
        machines["ray-worker-1"].cut_off()

This process needs root, and namespaces of its own, which keep the host's network as it is. When it ends, in whatever
way, the kernel ends all machines and takes back their mounts and links:

    unshare --net --mount --pid --fork --kill-child --mount-proc python …
"""

from __future__ import annotations

import compileall
import contextlib
import os
import re
import secrets
import shlex
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import yaml

from infra.local.service import fetch
from tests.support.cluster_files import CLUSTER, ROOT
from tests.support.cluster_image import DOCKERFILE, instructions
from tests.support.servers.aws_environment import leading_to
from tests.support.waiting import wait_until

_NAMES = ("prefect", "s3", "ray-head", *(f"ray-worker-{number}" for number in range(1, 5)))
_NETWORK = "10.77.0"
_ADDRESSES = {name: f"{_NETWORK}.{number}" for number, name in enumerate(_NAMES, 2)}
_GATEWAY, _SWITCH = f"{_NETWORK}.1", "switch"
_GCS_PORT = 6379
_BIN = Path(sys.prefix) / "bin"
# It starts Ray on a busy machine, too.
_RAY_START = ROOT / "infra" / "local" / "ray_start.py"
_PROGRAMS = ("/usr", "/etc", "/sys", sys.base_prefix, sys.prefix, str(_RAY_START))
# Further options of `ray start`. Small object stores leave memory to the work. For fixed ports a node does not wait.
_RAY = (
    "--object-store-memory=100000000",
    "--temp-dir=/tmp/ray",
    "--include-log-monitor=false",
    "--dashboard-agent-grpc-port=7001",
    "--dashboard-agent-listen-port=7002",
    "--metrics-export-port=7003",
    "--runtime-env-agent-port=7004",
)
_OPTIONS = {
    "ray-head": (*_RAY, "--include-dashboard=false", "--no-monitor"),
    "ray-worker": (*_RAY, "--num-cpus=1"),
}
_NEW = ("unshare", "--net", "--mount", "--uts", "--ipc")
_ENTER = ("nsenter", "--net", "--mount", "--uts", "--ipc", "--pid", "--target")
# Run in new namespaces for network, mounts, host name and IPC. What follows the arguments becomes the first process.
_BOOT = """
set -e
name=$1 address=$2 gateway=$3 outside=$4 folder=$5 hosts=$6 programs=$7
shift 7
ip link add eth0 type veth peer name "$name" netns "$outside"
ip address add "$address/24" dev eth0
ip link set lo up
ip link set eth0 up
ip route add default via "$gateway"
hostname "$name"
mount -t tmpfs -o mode=755 tmpfs "$folder"
cd "$folder"
for place in $programs; do
  mkdir -p ".${place%/*}"
  [ -e ".$place" ] || if [ -d "$place" ]; then mkdir ".$place"; else touch ".$place"; fi
  mount --bind "$place" ".$place"
  mount -o remount,bind,ro ".$place"
done
cp --no-dereference /bin /sbin /lib* .
mkdir -p dev proc old tmp root home/attgan/data
mount --bind "$hosts" etc/hosts
# Nobody answers for names that are not in there, so nobody is asked.
[ ! -f etc/resolv.conf ] || mount --bind /dev/null etc/resolv.conf
mount --rbind /dev dev
mount -t tmpfs tmpfs dev/shm
# umount needs one.
mount -t proc proc proc
pivot_root . old
umount --lazy /old
cd /home/attgan
exec unshare --pid --fork --kill-child --mount-proc "$@"
"""


@dataclass
class Machine:
    """A machine: its name, the process that holds it, and the log of its service."""

    name: str
    holder: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Of its network card."""
        return _ADDRESSES[self.name]

    @property
    def has_booted(self) -> bool:
        """Whether it has its network and its files."""
        assert self.is_on, self.said()
        return "--pid" in psutil.Process(self.holder.pid).cmdline()

    @property
    def service(self) -> psutil.Process:
        """The first process inside."""
        (first,) = psutil.Process(self.holder.pid).children()
        return first

    @property
    def is_on(self) -> bool:
        """Whether its service still runs."""
        return self.holder.poll() is None

    def tasks(self, name: str) -> list[psutil.Process]:
        """The processes of its Ray node that are at a task of this name."""
        inside = self.service.children(recursive=True)
        return [process for process in inside if "".join(process.cmdline()[:1]).startswith(f"ray::{name}")]

    def cut_off(self) -> None:
        """Pull its network cable. Its processes keep running."""
        _do("ip", "link", "set", self.name, "down")

    def reconnect(self) -> None:
        """Plug the cable in again."""
        _do("ip", "link", "set", self.name, "up")

    def said(self) -> str:
        """What its service has printed last."""
        return self.log.read_text(errors="replace")[-3000:]


@dataclass
class Machines:
    """The cluster while it is up.

    Attributes:
        folder: of the logs.
        secrets: of the services, by their names in ``compose.yaml``.
        log: what drivers have printed.
    """

    folder: Path
    secrets: Mapping[str, str]
    on: dict[str, Machine] = field(default_factory=dict)
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Machine:
        return self.on[name]

    @property
    def log(self) -> Path:
        return self.folder / "drivers.log"

    def add(self, name: str, *, cpu: int | None = None, **changed: str) -> Machine:
        """Start a machine.

        Args:
            name: of a service in ``compose.yaml``, or that with a number.
            cpu: the only one that its processes may use.
            changed: environment variables with other values than there.
        """
        kind = re.sub(r"-\d$", "", name)
        service, environment = self._described(kind)
        program, *words = service["command"]
        start = [f"{_BIN}/python", "-P", str(_RAY_START)] if program == "ray" else [f"{_BIN}/{program}"]
        pinned = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
        root = self.folder / name
        root.mkdir()
        programs = [*_PROGRAMS, *([str(ROOT)] if kind == "ray-head" else [])]
        # Outer folders first, so that none hides another.
        places = " ".join(sorted(set(programs)))
        boot = [name, _ADDRESSES[name], _GATEWAY, str(os.getpid()), root, self.folder / "hosts", places]
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            holder = subprocess.Popen(
                [*_NEW, "sh", "-c", _BOOT, "sh", *boot, *pinned, *start, *words, *_OPTIONS.get(kind, ())],
                env=environment | changed,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for this process alone.
                start_new_session=True,
            )
        machine = self.on[name] = Machine(name, holder, log)
        wait_until(lambda: machine.has_booted, lambda: f"{name}: {machine.said()}")
        _do("ip", "link", "set", name, "master", _SWITCH, "up")
        return machine

    def start_driver(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``attgan ARGUMENTS`` on the head."""
        inside = str(self["ray-head"].service.pid)
        _, environment = self._described("worker")
        with self.log.open("ab") as log:
            driver = subprocess.Popen(
                [*_ENTER, inside, "env", "--chdir=/home/attgan", f"{_BIN}/attgan", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.drivers.append(driver)
        return driver

    def nodes(self) -> dict[str, Any]:
        """Ray's records of its nodes, by the names of their machines. Raises: OSError if nobody answers yet."""
        # The client alone would wait for a minute.
        socket.create_connection((_ADDRESSES["ray-head"], _GCS_PORT), timeout=5).close()
        from ray._raylet import GcsClient  # type: ignore[attr-defined]  # missing in Ray's stubs

        found = GcsClient(address=f"{_ADDRESSES['ray-head']}:{_GCS_PORT}").get_all_node_info(timeout=10)
        return {node.node_manager_hostname: node for node in found.values()}

    def _described(self, name: str) -> tuple[dict[str, Any], dict[str, str]]:
        """What ``compose.yaml`` says about a service, with our secrets, and the environment of its processes."""
        text = re.sub(
            r"\$\{(\w+)[^}]*\}",
            lambda found: self.secrets.get(found[1], ""),
            (CLUSTER / "compose.yaml").read_text(),
        )
        service: dict[str, Any] = yaml.safe_load(text)["services"][name]
        lines = (rest for instruction, rest in instructions(DOCKERFILE.read_text()) if instruction == "ENV")
        image = dict(word.split("=", 1) for rest in lines for word in shlex.split(rest))
        return service, image | service.get("environment", {}) | _HERE


# On this machine.
_HERE = {
    "PATH": f"{_BIN}:/usr/bin:/bin:/usr/sbin:/sbin",
    "OMP_NUM_THREADS": "1",
    # On a busy one the server takes longer than its clients usually wait.
    "PREFECT_API_REQUEST_TIMEOUT": "300",
}


def may_make_machines() -> bool:
    """Whether this process is root, in namespaces of its own."""
    return os.geteuid() == 0 and os.getpid() == 1


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Machines]:
    """A Prefect server, an S3 server and a Ray head without workers, each on a machine of its own; all end with this.

    This process's environment leads to the S3 server, and to Ray with its token.
    """
    # Machines cannot write there, and each of their processes would compile what it imports.
    compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2)
    names = ("POSTGRES_PASSWORD", "PREFECT_PASSWORD", "RAY_TOKEN", "S3_SECRET_KEY")
    machines = Machines(folder, {name: secrets.token_hex(24) for name in names})
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in _ADDRESSES.items())]
    (folder / "hosts").write_text("\n".join(lines) + "\n")
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "link", "add", _SWITCH, "type", "bridge")
    _do("ip", "address", "add", f"{_GATEWAY}/24", "dev", _SWITCH)
    _do("ip", "link", "set", _SWITCH, "up")
    _, clients = machines._described("worker")
    server = {name: value for name, value in clients.items() if name.startswith("AWS_")}
    server["AWS_ENDPOINT_URL"] = f"http://{_ADDRESSES['s3']}:8333"
    try:
        with leading_to(server) as patch:
            patch.setenv("RAY_AUTH_TOKEN", machines.secrets["RAY_TOKEN"])
            machines.add("s3")
            database = "sqlite+aiosqlite:////home/attgan/prefect.db"
            machines.add("prefect", PREFECT_SERVER_DATABASE_CONNECTION_URL=database)
            _wait("prefect", machines, lambda: fetch(f"http://{_ADDRESSES['prefect']}:4200/api/health"))
            _wait("s3", machines, lambda: boto3.session.Session().client("s3").list_buckets())
            machines.add("ray-head")
            _wait("ray-head", machines, lambda: "ray-head" in machines.nodes())
            yield machines
    finally:
        for process in (*machines.drivers, *(machine.holder for machine in machines.on.values())):
            process.kill()
            process.wait()
        _do("ip", "link", "delete", _SWITCH)


def _wait(name: str, machines: Machines, serves: Any) -> None:
    def answers() -> bool:
        assert machines[name].is_on, machines[name].said()
        with contextlib.suppress(Exception):
            return bool(serves())
        return False

    wait_until(answers, lambda: f"{name} to serve: {machines[name].said()}")


def _do(*command: str) -> None:
    subprocess.run(command, check=True)
