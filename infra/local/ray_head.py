"""The head of a Ray cluster on one machine. It always requires a token, and only binds 127.0.0.1."""

import shutil
import sys

import grpc

from infra.errors import StackError
from infra.local.credentials import credentials
from infra.local.service import Service, fetch
from infra.local.stack import Stack

RAY = (sys.executable, "-m", "infra.local.ray_start")
LIST_NODES = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
_HEALTH = "/grpc.health.v1.Health/Check"
PORTS = (
    "ray",
    "ray-dashboard",
    "ray-node-manager",
    "ray-object-manager",
    "ray-agent",
    "ray-agent-grpc",
    "ray-runtime-env",
    "ray-metrics",
    "ray-dashboard-metrics",
)


def ray_head(stack: Stack) -> Service:
    """Ray's servers, as children of one `ray start --block`, which ends all of them if one fails."""
    ports, folder = stack.ports, stack.folder / "ray"
    options: dict[str, object] = {
        "node-ip-address": "127.0.0.1",
        "port": ports["ray"],
        "node-manager-port": ports["ray-node-manager"],
        "object-manager-port": ports["ray-object-manager"],
        "include-dashboard": str(stack.dashboard).lower(),
        "dashboard-host": "127.0.0.1",
        "dashboard-port": ports["ray-dashboard"],
        "dashboard-agent-listen-port": ports["ray-agent"],
        "dashboard-agent-grpc-port": ports["ray-agent-grpc"],
        "runtime-env-agent-port": ports["ray-runtime-env"],
        "metrics-export-port": ports["ray-metrics"],
        "temp-dir": stack.scratch,
        "object-store-memory": stack.object_store_mb * 2**20,
        "num-cpus": stack.cpus,
        "num-gpus": stack.gpus,
        # It would send what workers print to their drivers, and the flows do not read that.
        "include-log-monitor": "false",
        "log-style": "record",
        "log-color": "false",
    }
    chosen = (f"--{name}={value}" for name, value in options.items() if value is not None)
    dashboard = (("Ray dashboard", stack.address("ray-dashboard")),) if stack.dashboard else ()
    return Service(
        name="ray",
        title="Ray head",
        links=(("Ray", stack.address("ray", scheme="")), *dashboard),
        # Without the autoscaler's process: there is one node.
        command=(*RAY, "start", "--head", "--block", "--no-monitor", *chosen),
        environment={
            # One more page of metrics, whose port cannot be set by an option.
            "DASHBOARD_METRIC_PORT": str(ports["ray-dashboard-metrics"]),
            # Keeps the environment of Ray's processes readable, so that they can be found by the stack's mark.
            "SPT_NOENV": "1",
            "TMPDIR": str(stack.scratch),
        },
        folder=folder,
        check=lambda: _check(stack),
    )


def keep_logs(stack: Stack) -> None:
    """Move the logs of Ray's own processes and workers from the scratch folder to `<folder>/logs/ray`."""
    for session in sorted(stack.scratch.glob("session_2*")):
        shutil.rmtree(stack.logs / "ray", ignore_errors=True)
        shutil.copytree(session / "logs", stack.logs / "ray", symlinks=True, dirs_exist_ok=True)


def _check(stack: Stack) -> None:
    token = credentials(stack).ray_token_file.read_text()
    head, node = stack.ports["ray"], stack.ports["ray-node-manager"]
    # The reply lists the nodes with their addresses. Parsing it would need Ray's modules, and importing `ray` here
    # would fix its settings before the caller has the stack's environment.
    if b"127.0.0.1" not in call(head, LIST_NODES, token):
        raise StackError("no node has joined yet")
    call(node, _HEALTH, token)
    if _accepts(head, token=None):
        raise StackError("a client without the token is accepted")
    if stack.dashboard:
        fetch(stack.address("ray-dashboard") + "/api/version", {"Authorization": f"Bearer {token}"})


def _accepts(port: int, token: str | None) -> bool:
    try:
        call(port, LIST_NODES, token)
    except StackError as error:
        return "UNAUTHENTICATED" not in str(error)
    return True


def call(port: int, method: str, token: str | None, seconds: float = 3.0) -> bytes:
    """The reply to a gRPC method called with an empty message. Raises: StackError with the status's name."""
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            reply: bytes = channel.unary_unary(method)(b"", timeout=seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise StackError(f"port {port}: {error.code().name}") from None
    return reply
