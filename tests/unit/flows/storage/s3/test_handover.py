"""The driver's S3 settings and credentials, as another process of its user gets them."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED

from flows.storage.s3 import aws, handover
from tests.support.refusals import refused
from tests.support.servers.aws_environment import leading_to
from tests.support.servers.servers import wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAMINE", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_SESSION_TOKEN": "passing"}
WHERE = "--source s3://mine"
_DRIVER = (
    "import sys; from flows.storage.s3 import handover; print(handover.serve(), flush=True); sys.stdin.read()"
)

Driver = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Starts a process with these AWS variables, whose worker this process then is."""
    started: list[subprocess.Popen[str]] = []
    with leading_to({"AWS_PROFILE": "of-the-cluster", "AWS_ACCESS_KEY_ID": "AKIACLUSTER"}) as patch:

        def start(**variables: str) -> subprocess.Popen[str]:
            clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            files = {
                "AWS_CONFIG_FILE": "config",
                "AWS_SHARED_CREDENTIALS_FILE": "credentials",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _DRIVER],
                env=clean | files | variables,
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            started.append(process)
            assert process.stdout is not None
            patch.setenv(handover.SOCKET, process.stdout.readline().strip())
            return process

        yield start
        for process in started:
            process.communicate()
        # What the worker has taken over is in no patch.
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]


def keys(session: Any) -> tuple[str, str, str | None]:
    frozen = session.get_credentials().get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


def test_keys_of_the_environment_are_had_without_being_in_it(driver: Driver) -> None:
    driver(**KEYS, AWS_REGION="eu-west-1")
    session = aws.open_session(WHERE)
    assert keys(session) == tuple(KEYS.values())
    assert os.environ["AWS_REGION"] == "eu-west-1"
    assert not [name for name in os.environ if name in KEYS or os.environ[name] in KEYS.values()]


def test_a_profile_s_settings_and_keys_are_the_driver_s(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile work]\nregion = eu-central-1\nendpoint_url = http://lab:9000\n"
    )
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = A\naws_secret_access_key = B\n")
    driver(AWS_PROFILE="work")
    session = aws.open_session(WHERE)
    assert keys(session) == ("A", "B", None)
    client = aws.make_client(session, WHERE)
    assert client.meta.endpoint_url == "http://lab:9000"
    assert client.meta.region_name == "eu-central-1"


def test_credentials_that_expire_are_had_again(driver: Driver, tmp_path: Path) -> None:
    now = tmp_path / "now.json"
    (tmp_path / "config").write_text(f"[profile helper]\ncredential_process = cat {now}\n")

    def issue(key: str) -> None:
        expires = datetime.now(UTC) + timedelta(seconds=100)
        content = {
            "Version": 1,
            "AccessKeyId": key,
            "SecretAccessKey": "hidden",
            "Expiration": expires.isoformat(),
        }
        now.with_suffix(".new").write_text(json.dumps(content))
        now.with_suffix(".new").replace(now)

    issue("first")
    driver(AWS_PROFILE="helper")
    session = aws.open_session(WHERE)
    provide = aws._credential_provider(session.get_credentials())
    issue("second")
    wait_until(lambda: provide()["access_key_id"] == "second", lambda: "still the first")
    assert provide()["expires_at"] > datetime.now(UTC)


def test_another_driver_s_credentials_are_those_of_the_next_session(driver: Driver) -> None:
    driver(**KEYS)
    before = aws.open_session(WHERE)
    driver(**KEYS | {"AWS_ACCESS_KEY_ID": "AKIAOTHER"})
    assert keys(aws.open_session(WHERE))[0] == "AKIAOTHER"
    assert keys(before)[0] == "AKIAMINE"


def test_requests_go_unsigned_where_the_driver_s_do(driver: Driver) -> None:
    driver(AWS_NO_SIGN_REQUEST="YES")
    assert aws.make_client(aws.open_session(WHERE), WHERE).meta.config.signature_version is UNSIGNED
    assert os.environ["AWS_NO_SIGN_REQUEST"] == "YES"


def test_what_is_wrong_with_the_driver_s_credentials_is_one_line(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile helper]\ncredential_process = sh -c 'echo log in first >&2; false'\n"
    )
    driver(AWS_PROFILE="helper")
    with refused("aws-settings-invalid") as caught:
        aws.open_session(WHERE)
    assert "log in first" in caught.value.line
    assert "\n" not in caught.value.line


def test_only_the_driver_s_user_may_ask_and_nothing_is_left_of_it(driver: Driver) -> None:
    process = driver(**KEYS)
    folder = Path(os.environ[handover.SOCKET]).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_ISSOCK(path.stat().st_mode) for path in folder.iterdir()] == [True]
    process.communicate()
    assert not folder.exists()
    with refused("aws-settings-invalid"):
        aws.open_session(WHERE)
