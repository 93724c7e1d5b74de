"""moto's S3 server as the S3 server of a stack, in the place of SeaweedFS."""

import sys

from infra.local.service import Service, fetch
from infra.local.stack import Stack


def moto_service(stack: Stack) -> Service:
    """One process that keeps everything in memory; any credentials are good."""
    folder = stack.folder / "s3"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Service(
        name="s3",
        title="S3 server (moto)",
        links=(("S3", stack.address("s3")),),
        command=(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(stack.ports["s3"])),
        environment={},
        folder=folder,
        check=lambda: _check(stack),
        grace=1.0,
    )


def _check(stack: Stack) -> None:
    fetch(stack.address("s3") + "/moto-api/")
