"""The local stack's Prefect and Ray with the user's own S3: its server is another one, which checks every signature."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest

from flows.edit.run import RUNS
from flows.runtime import exits
from flows.settings import InitSettings
from flows.storage.s3 import handover
from flows.training.weights import init
from infra.local.ports import free_ports
from infra.local.stack import load
from tests.support.images.pictures import noise, saved
from tests.support.refusals import codes_in
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

IMAGES = 12
# Credentials that expire: others are issued so often, and each is good for so many times as long.
EVERY, VALID = timedelta(seconds=4), 5
REGION = "us-east-1"


@dataclass
class Server:
    """moto's server, and the secrets of everyone who may enter it."""

    url: str
    admin: tuple[str, str] = ("setup", "setup")
    secrets: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """Of the user who sets the server up."""
        key, secret = self.admin
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    def user(self, name: str, resources: list[str]) -> tuple[str, str]:
        """Key and secret of a new user, who may do everything with these resources and nothing else."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        allowed = {"Effect": "Allow", "Action": "*", "Resource": resources}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.secrets.append(key["SecretAccessKey"])
        return key["AccessKeyId"], key["SecretAccessKey"]

    def check_from_now_on(self) -> None:
        """Refuse what is not signed by a user who may do it; until then everything was allowed."""
        self.admin = self.user("admin", ["*"])
        request = Request(
            f"{self.url}/moto-api/reset-auth",
            data=b"0",
            method="POST",
            headers={"Content-Type": "text/plain"},
        )
        urlopen(request).close()


def _only(bucket: str) -> list[str]:
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    (port,) = free_ports(["moto"]).values()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = Server(f"http://127.0.0.1:{port}")
        wait_until(lambda: _answers(found.url), lambda: found.url)
        yield found
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        urlopen(f"{url}/moto-api/").close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def rotating(server: Server, bucket: str, path: Path) -> Iterator[list[str]]:
    """A file with the credentials of now: others every few seconds, and each is refused a while later, as it says."""
    issued: list[str] = []
    over = threading.Event()

    def rotate() -> None:
        while True:
            key, secret = server.user(f"temporary-{len(issued)}", _only(bucket))
            issued.append(key)
            expires = datetime.now(UTC) + VALID * EVERY
            content = {
                "Version": 1,
                "AccessKeyId": key,
                "SecretAccessKey": secret,
                "Expiration": expires.isoformat(),
            }
            path.with_suffix(".new").write_text(json.dumps(content))
            path.with_suffix(".new").replace(path)
            if over.wait(EVERY.total_seconds()):
                return
            if (old := len(issued) - VALID) >= 0:
                user = f"temporary-{old}"
                server.client("iam").delete_access_key(UserName=user, AccessKeyId=issued[old])

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        wait_until(path.exists, lambda: "no credentials were issued")
        yield issued
    finally:
        over.set()
        thread.join()


@dataclass
class Case:
    """One `attgan edit`, and what became of it."""

    name: str
    variables: Mapping[str, str]
    code: int | None = None
    output: str = ""

    def run(self, bundle: Path) -> None:
        """From the bucket of this name to itself."""
        url = f"s3://{self.name}"
        options = [
            "--source",
            f"{url}/in",
            "--destination",
            f"{url}/out",
            "--bundle",
            str(bundle),
            "--faces",
            "aligned",
            "--shard-size",
            "6",
        ]
        done = _edit(self.variables, *options)
        self.code, self.output = done.returncode, done.stdout + done.stderr


def _edit(variables: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    foreign = ("AWS_", "RAY_", "PREFECT_", "ATTGAN_LOCAL_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(
        [sys.executable, "-P", "-m", "flows.cli", "edit", *options],
        env=inherited | dict(variables),
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def cases(stack: dict[str, str], server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Two drivers at once, each of another user of the S3 server: keys in the environment, a profile with a helper."""
    folder = tmp_path_factory.mktemp("own")
    bundle = folder / "bundle"
    init(InitSettings(destination=str(bundle), image_size=64, width=4))
    names = ("environment", "expiring")
    for name in names:
        server.client("s3").create_bucket(Bucket=name)
        for number in range(IMAGES):
            server.client("s3").put_object(Bucket=name, Key=f"in/{number:02d}.jpg", Body=saved(noise(number)))
    server.check_from_now_on()
    key, secret = server.user("environment", _only("environment"))
    (folder / "config").write_text(
        f"[profile expiring]\nendpoint_url = {server.url}\nregion = {REGION}\n"
        f"credential_process = cat {folder / 'now.json'}\n"
    )
    (folder / "now.json").unlink(missing_ok=True)
    home = {"ATTGAN_STACK_FOLDER": str(_folder(stack))}
    config = str(folder / "config")
    found = {
        case.name: case
        for case in (
            Case(
                "environment",
                {
                    **home,
                    "AWS_ENDPOINT_URL": server.url,
                    "AWS_ACCESS_KEY_ID": key,
                    "AWS_SECRET_ACCESS_KEY": secret,
                    "AWS_REGION": REGION,
                    "RAY_ADDRESS": stack["RAY_ADDRESS"].replace("127.0.0.1", "localhost"),
                },
            ),
            # In a shell that has taken over the stack's environment before.
            Case("expiring", {**home, **stack, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "expiring"}),
        )
    }
    with rotating(server, "expiring", folder / "now.json") as issued:
        drivers = [threading.Thread(target=case.run, args=[bundle]) for case in found.values()]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join()
        assert len(issued) > 2
    return found


def _folder(stack: Mapping[str, str]) -> Path:
    return Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1]


@pytest.mark.parametrize(
    ("name", "source"),
    [("environment", "environment"), ("expiring", "profile expiring")],
)
def test_the_stack_s_workers_edit_in_the_user_s_bucket(
    server: Server, cases: dict[str, Case], name: str, source: str
) -> None:
    case = cases[name]
    assert case.code == 0, case.output
    assert f"({source})" in case.output.splitlines()[0]
    listed = server.client("s3").list_objects_v2(Bucket=name, Prefix="out/")["Contents"]
    images = [item["Key"] for item in listed if item["Key"].endswith(".jpg")]
    edited = [key for key in images if f"/{RUNS}/" not in key]
    assert len(edited) == IMAGES


def test_no_secret_is_left_anywhere(stack: dict[str, str], server: Server, cases: dict[str, Case]) -> None:
    record = load(_folder(stack))
    assert record is not None
    texts = {name: case.output.encode() for name, case in cases.items()}
    for folder in (record.folder, record.scratch):
        texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for bucket in cases:
        for item in server.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"out/{RUNS}/")["Contents"]:
            body = server.client("s3").get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            texts[f"{bucket}/{item['Key']}"] = body

    def holding(word: str) -> list[str]:
        return [name for name, text in texts.items() if word.encode() in text]

    # What is no secret is found in Prefect's database, in the records of Ray and in the run's folder.
    assert any("prefect.db" in name for name in holding("s3://expiring/out"))
    assert any(str(record.scratch) in name for name in holding(handover.SOCKET))
    assert any(name.startswith("expiring/out") for name in holding("s3://expiring/out"))
    assert len(server.secrets) > 5
    for secret in server.secrets:
        assert holding(secret) == []


@pytest.mark.long
def test_a_cluster_that_asks_for_a_token_is_one_line(stack: dict[str, str], tmp_path: Path) -> None:
    variables = {
        "ATTGAN_STACK_FOLDER": str(tmp_path),
        "PREFECT_API_URL": stack["PREFECT_API_URL"],
        "RAY_ADDRESS": stack["RAY_ADDRESS"],
    }
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    for extra, code in (({}, "ray-token-missing"), (wrong, "ray-token-refused")):
        done = _edit(variables | extra, "--source", str(tmp_path), "--destination", str(tmp_path / "out"))
        assert done.returncode == exits.WRONG_USE
        assert done.stderr.count("\n") == 1
        assert codes_in(done.stderr) == [code]
