"""What a flow takes up of the local stack, and when it leaves it alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.runtime.local_stack import STACK_FOLDER, adopt_local_stack, shares_s3, stacks_elsewhere

STACK = {
    "DO_NOT_TRACK": "1",
    "PREFECT_API_URL": "http://127.0.0.1:4200/api",
    "PREFECT_HOME": "/stack/prefect",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:8333",
    "AWS_ACCESS_KEY_ID": "stack",
    "AWS_SECRET_ACCESS_KEY": "secret=with=signs",
    "AWS_REGION": "us-east-1",
    "ATTGAN_LOCAL_S3": "http://127.0.0.1:8333",
    "ATTGAN_LOCAL_RAY": "127.0.0.1:6379",
    "RAY_ADDRESS": "127.0.0.1:6379",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/stack/ray/token",
    "NO_PROXY": "127.0.0.1,localhost",
}
PREFIXES = ("PREFECT_", "AWS_", "RAY_", "ATTGAN_LOCAL_", "NO_PROXY", "no_proxy", "DO_NOT_TRACK")


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
    assert adoption.own_s3 is None
    assert shares_s3()
    assert _environment() == STACK


def test_nothing_is_taken_without_a_stack(tmp_path: Path) -> None:
    (tmp_path / "env").unlink()
    assert adopt_local_stack().services == []
    assert _environment() == {}


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID"])
def test_ray_is_taken_beside_the_user_s_own_s3(name: str) -> None:
    os.environ[name] = "mine"
    adoption = adopt_local_stack()
    assert adoption.services == ["Prefect", "Ray"]
    assert adoption.because_of == []
    assert adoption.own_s3
    assert not adoption.complete
    assert not shares_s3()
    assert {n: v for n, v in _environment().items() if n.startswith("AWS_")} == {name: "mine"}
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == STACK["RAY_AUTH_TOKEN_PATH"]


@pytest.mark.parametrize("name", ["RAY_ADDRESS", "RAY_AUTH_TOKEN"])
def test_the_stack_s_s3_is_left_with_its_ray(name: str) -> None:
    os.environ[name] = "mine"
    adoption = adopt_local_stack()
    assert adoption.services == ["Prefect"]
    assert adoption.because_of == [name]
    assert adoption.own_s3 is None
    assert {n: v for n, v in _environment().items() if n.startswith(("AWS_", "RAY_"))} == {name: "mine"}


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({"AWS_PROFILE": "work"}, "profile work"),
        ({"AWS_ACCESS_KEY_ID": "AKIAMINE", "AWS_SECRET_ACCESS_KEY": "hidden"}, "environment"),
        ({"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "AKIAMINE"}, "environment"),
        ({"AWS_NO_SIGN_REQUEST": "YES", "AWS_PROFILE": "work"}, "AWS_NO_SIGN_REQUEST"),
    ],
)
def test_it_is_known_where_the_user_s_credentials_come_from(variables: dict[str, str], source: str) -> None:
    os.environ.update(variables)
    assert adopt_local_stack().own_s3 == source


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_API_KEY"])
def test_another_prefect_is_left_alone(name: str) -> None:
    os.environ[name] = "mine"
    assert adopt_local_stack().services == ["Ray", "S3"]
    assert {n: v for n, v in _environment().items() if n.startswith("PREFECT_")} == {name: "mine"}


def test_exceptions_from_a_proxy_are_added_to_the_users() -> None:
    os.environ["NO_PROXY"] = "intranet,localhost"
    adopt_local_stack()
    assert os.environ["NO_PROXY"] == "intranet,localhost,127.0.0.1"


@pytest.mark.parametrize(("variables", "source"), [({"AWS_PROFILE": "work"}, "profile work")])
def test_a_stack_without_s3_takes_the_user_s(tmp_path: Path, variables: dict[str, str], source: str) -> None:
    _write(
        tmp_path, {name: v for name, v in STACK.items() if not name.startswith(("AWS_", "ATTGAN_LOCAL_S3"))}
    )
    os.environ.update(variables)
    adoption = adopt_local_stack()
    assert adoption.services == ["Prefect", "Ray"]
    assert adoption.because_of == []
    assert adoption.own_s3 == source
    assert not adoption.complete
    assert not shares_s3()


@pytest.mark.parametrize(("owner", "is_found"), [(None, True), ({"pid": 1, "started": 0.0}, False)])
def test_a_stack_in_another_folder_is_found_unless_it_belongs_to_a_command(
    tmp_path: Path, owner: object, is_found: bool
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps({"ready": True, "owner": owner}))
    marked = {**os.environ, "ATTGAN_STACK": "mark", "PREFECT_HOME": str(folder / "prefect")}
    server = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=marked, text=True)
    try:
        assert (folder in stacks_elsewhere()) == is_found
    finally:
        server.communicate("\n")
