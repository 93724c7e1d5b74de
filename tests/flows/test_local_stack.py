"""What a flow takes up of the local stack, and when it leaves it alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.local_stack import STACK_FOLDER, adopt_local_stack

STACK = {
    "DO_NOT_TRACK": "1",
    "PREFECT_API_URL": "http://127.0.0.1:4200/api",
    "PREFECT_HOME": "/stack/prefect",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:8333",
    "AWS_ACCESS_KEY_ID": "stack",
    "AWS_SECRET_ACCESS_KEY": "secret=with=signs",
    "AWS_REGION": "us-east-1",
    "RAY_ADDRESS": "127.0.0.1:6379",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/stack/ray/token",
    "NO_PROXY": "127.0.0.1,localhost",
}
PREFIXES = ("PREFECT_", "AWS_", "RAY_", "NO_PROXY", "no_proxy", "DO_NOT_TRACK")


@pytest.fixture(autouse=True)
def _stack_is_up(tmp_path: Path) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(PREFIXES):
            del os.environ[name]
    os.environ[STACK_FOLDER] = str(tmp_path)
    _write(tmp_path, STACK)
    yield
    os.environ.clear()
    os.environ.update(before)


def _write(folder: Path, variables: dict[str, str]) -> None:
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIXES)}


def test_all_of_it_is_taken_where_nothing_is_set() -> None:
    adoption = adopt_local_stack()
    assert adoption.complete
    assert adoption.because_of == []
    assert _environment() == STACK


def test_nothing_is_taken_without_a_stack(tmp_path: Path) -> None:
    (tmp_path / "env").unlink()
    assert adopt_local_stack().services == []
    assert _environment() == {}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ACCESS_KEY_ID",
        "RAY_ADDRESS",
        "RAY_AUTH_TOKEN",
    ],
)
def test_ray_and_s3_are_left_together(name: str) -> None:
    os.environ[name] = "mine"
    adoption = adopt_local_stack()
    assert adoption.services == ["Prefect"]
    assert adoption.because_of == [name]
    assert not adoption.complete
    assert {n: v for n, v in _environment().items() if n.startswith(("AWS_", "RAY_"))} == {name: "mine"}


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE"])
def test_another_prefect_is_left_alone(name: str) -> None:
    os.environ[name] = "mine"
    assert adopt_local_stack().services == ["Ray", "S3"]
    assert {n: v for n, v in _environment().items() if n.startswith("PREFECT_")} == {name: "mine"}


def test_variables_that_lead_to_the_stack_already_are_no_other_choice() -> None:
    os.environ.update(STACK)
    assert adopt_local_stack().complete
    assert _environment() == STACK


def test_a_region_or_an_empty_variable_is_no_choice() -> None:
    os.environ.update(AWS_DEFAULT_REGION="eu-west-1", AWS_REGION="eu-west-1", AWS_PROFILE="")
    assert adopt_local_stack().complete
    assert os.environ["AWS_REGION"] == "us-east-1"


def test_exceptions_from_a_proxy_are_added_to_the_users() -> None:
    os.environ["NO_PROXY"] = "intranet,localhost"
    adopt_local_stack()
    assert os.environ["NO_PROXY"] == "intranet,localhost,127.0.0.1"


def test_a_stack_without_s3_is_incomplete(tmp_path: Path) -> None:
    _write(tmp_path, {name: value for name, value in STACK.items() if not name.startswith("AWS_")})
    adoption = adopt_local_stack()
    assert adoption.services == ["Prefect", "Ray"]
    assert not adoption.complete
