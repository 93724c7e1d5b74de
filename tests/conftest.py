"""Real servers for the tests. Each starts when the first test asks for it, on free ports, and is always stopped.

A server is handed out as the dictionary of environment variables that lead to it:

    def test_it(s3_server, fresh_bucket):
        bucket = fresh_bucket(s3_server)      # made now, emptied and deleted after the test
        # … and until the end of this test the AWS_* variables of this process lead to that server
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra import lifecycle

Variables = dict[str, str]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Variables]:
    """SeaweedFS alone."""
    with _folder() as folder, lifecycle.running(folder, ("s3",), tell=_silent) as variables:
        yield variables


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Variables]:
    """moto's S3 server, a second implementation of the S3 API (any credentials are good)."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()


@pytest.fixture
def fresh_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, str] | None], str]]:
    """A function that makes an empty bucket on a server, and points this process to that server for one test."""
    with contextlib.ExitStack() as cleanup:

        def make(server: Mapping[str, str] | None = None) -> str:
            if server is not None:
                for name in [name for name in os.environ if name.startswith("AWS_")]:
                    monkeypatch.delenv(name)
                for name, value in server.items():
                    monkeypatch.setenv(name, value)
            name = f"test-{secrets.token_hex(6)}"
            bucket = boto3.session.Session().resource("s3").Bucket(name)
            bucket.create()
            cleanup.callback(bucket.delete)
            cleanup.callback(bucket.objects.all().delete)
            return name

        yield make


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="attgan-test-") as folder:
        yield Path(folder)


def _silent(line: str) -> None:
    del line
