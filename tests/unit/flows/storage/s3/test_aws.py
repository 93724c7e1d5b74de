"""The standard AWS settings, from the environment and the shared configuration file, as they reach both clients."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.storage.s3 import aws
from tests.support.refusals import refused

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very-secret"}
Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Configure:
    """Set these variables, and no others; ``file`` is the text of the shared configuration file."""

    def set_all(file: str = "", **variables: str) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        (tmp_path / "config").write_text(file)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def objects(bucket: str) -> Any:
    session = aws.open_session("--source s3://x")
    client = aws.make_client(session, "--source s3://x")
    return aws.open_objects(session, client, bucket, 5, "--source s3://x")


PROFILE = """
[profile work]
region = eu-central-1
s3 =
    addressing_style = path
[profile lab]
services = lab
[services lab]
s3 =
    endpoint_url = http://lab.example:9000
"""


@pytest.mark.parametrize(
    ("variables", "bucket", "endpoint", "in_host", "region"),
    [
        ({}, "faces", "https://faces.s3.amazonaws.com", True, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "faces", "https://faces.s3.eu-west-1.amazonaws.com", True, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "a.faces", "https://s3.eu-west-1.amazonaws.com", False, "eu-west-1"),
        ({"AWS_PROFILE": "work"}, "faces", "https://s3.eu-central-1.amazonaws.com", False, "eu-central-1"),
        ({"AWS_PROFILE": "lab"}, "faces", "http://lab.example:9000", False, "us-east-1"),
        ({"AWS_ENDPOINT_URL": "http://x:1", "AWS_ENDPOINT_URL_S3": "https://y:2/base"}, "faces", "https://y:2/base",
         False, "us-east-1"),
    ],
)  # fmt: skip
def test_obstore_is_told_what_botocore_resolved(
    configure: Configure, variables: dict[str, str], bucket: str, endpoint: str, in_host: bool, region: str
) -> None:
    configure(PROFILE, **KEYS, **variables)
    config = objects(bucket).config
    assert config["endpoint_url_s3"] == config["endpoint"] == endpoint
    assert config["virtual_hosted_style_request"] == str(in_host).lower()
    assert config["region"] == region
    assert "very-secret" not in str(config)


def test_variables_that_only_obstore_knows_do_not_divert_it(configure: Configure) -> None:
    configure(**KEYS, AWS_ENDPOINT="http://elsewhere:9", AWS_VIRTUAL_HOSTED_STYLE_REQUEST="true", AWS_REGION="xx-y-1",
              AWS_ENDPOINT_URL="http://x:1", AWS_SKIP_SIGNATURE="true", AWS_DEFAULT_REGION="us-west-2")  # fmt: skip
    config = objects("faces").config
    assert config["endpoint"] == "http://x:1"
    assert config["virtual_hosted_style_request"] == config["skip_signature"] == "false"
    assert config["region"] == "us-west-2"


@pytest.mark.parametrize(("variables", "attempts"), [({}, 8), ({"AWS_MAX_ATTEMPTS": "4"}, 4)])
def test_attempts(configure: Configure, variables: dict[str, str], attempts: int) -> None:
    configure("[profile few]\nmax_attempts = 2\n", **KEYS, **variables)
    session = aws.open_session("")
    assert aws.make_client(session, "").meta.config.retries["total_max_attempts"] == attempts
    assert aws.make_client(session, "", hurried=True).meta.config.retries["total_max_attempts"] == min(
        3, attempts
    )


@pytest.mark.parametrize(
    ("variables", "code", "value"),
    [
        ({}, "aws-credentials-missing", "AWS_NO_SIGN_REQUEST"),
        ({"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE"}, "aws-settings-invalid", "AWS_SECRET_ACCESS_KEY"),
        ({**KEYS, "AWS_ENDPOINT_URL": "not a url"}, "aws-settings-invalid", "not a url"),
        ({**KEYS, "AWS_MAX_ATTEMPTS": "many"}, "aws-settings-invalid", "many"),
        ({**KEYS, "AWS_CA_BUNDLE": "/no/such/file"}, "aws-ca-bundle-unreadable", "'/no/such/file'"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    configure: Configure, variables: dict[str, str], code: str, value: str
) -> None:
    configure(**variables)
    with refused(code) as caught:
        objects("faces")
    assert caught.value.line.startswith("--source s3://x: ")
    assert value in caught.value.line
    assert "very-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_signature(configure: Configure) -> None:
    configure(AWS_NO_SIGN_REQUEST="YES")
    store = objects("faces")
    assert store.config["skip_signature"] == "true"
    assert store.credential_provider is None
