"""The S3 server: SeaweedFS, with all its parts in one process, on 127.0.0.1."""

import json
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from infra.errors import StackError
from infra.local.credentials import credentials, s3_identities
from infra.local.service import Service, fetch, program
from infra.local.stack import Stack

REGION = "us-east-1"
PORTS = ("s3", "s3-grpc", "filer", "filer-grpc", "master", "master-grpc", "volume", "volume-grpc")


def s3_server(stack: Stack) -> Service:
    """SeaweedFS's master, volume, filer and S3 servers; object data under `<folder>/s3/data`."""
    folder, ports = stack.folder / "s3", stack.ports
    (folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        # A relative path, because a comma in an absolute one would make it a list of folders.
        "dir": "data",
        "master.port": ports["master"],
        "master.port.grpc": ports["master-grpc"],
        "master.telemetry": "false",
        # Every bucket has its own volumes. They are files that grow, so many of them cost nothing. The default number
        # (8, or the free disk divided by their largest size) is used up by the first few buckets.
        "master.volumeSizeLimitMB": 1024,
        "volume.max": 100_000,
        "volume.port": ports["volume"],
        "volume.port.grpc": ports["volume-grpc"],
        "volume.minFreeSpace": "500MiB",
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": ports["filer"],
        "filer.port.grpc": ports["filer-grpc"],
        "filer.localSocket": stack.scratch / "filer.sock",
        "s3": "true",
        "s3.port": ports["s3"],
        "s3.port.grpc": ports["s3-grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": stack.scratch / "s3.sock",
        "s3.config": s3_identities(stack).name,
        "s3.iam": "false",
        # A mistyped bucket is an error, as on AWS.
        "s3.autoCreateBucket": "false",
    }
    return Service(
        name="s3",
        title="S3 server",
        links=(("S3", stack.address("s3")),),
        # By default it also writes its log to the system's temporary folder.
        command=(
            program("weed"),
            f"-logdir={stack.scratch}",
            "-logtostderr",
            "server",
            *(f"-{name}={value}" for name, value in options.items()),
        ),
        # Two volumes for a new bucket instead of seven.
        environment={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
        folder=folder,
        check=lambda: _check(stack),
        # On SIGTERM its parts wait 15 s for each other's connections. By then it no longer serves requests, and all
        # acknowledged data are in files, so killing it loses nothing.
        grace=1.0,
        leftovers=tuple(_sockets(stack)),
    )


def _check(stack: Stack) -> None:
    keys = credentials(stack)
    request = AWSRequest("GET", stack.address("s3") + "/")
    SigV4Auth(Keys(keys.s3_access_key, keys.s3_secret_key), "s3", REGION).add_auth(request)
    fetch(request.url, dict(request.headers))
    topology = json.loads(fetch(stack.address("master") + "/dir/status"))["Topology"]
    if not topology.get("Max"):
        raise StackError("no volume server has joined yet")


def _sockets(stack: Stack) -> list[Path]:
    # SeaweedFS creates these in /tmp, for its gRPC ports, and does not remove them.
    parts = ("master", "volume", "filer", "s3")
    return [Path("/tmp") / f"seaweedfs-{part}-grpc-{stack.ports[part + '-grpc']}.sock" for part in parts]
