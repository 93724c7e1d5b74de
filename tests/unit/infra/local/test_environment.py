import subprocess

import pytest

from infra.local.environment import client_environment, inherited, shell_lines
from infra.local.stack import forget, locked, new
from infra.local.worker import POOL


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "it's $HOME"
    with locked(folder):
        stack = new(folder, {"prefect": 4200, "s3": 8333, "ray": 6379})
        yield stack
    forget(stack)


def test_every_part_is_reached_on_this_machine_only(made):
    variables = client_environment(made)
    assert variables["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8333"
    assert variables["RAY_ADDRESS"] == "127.0.0.1:6379"
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"


def test_deployments_go_to_the_pool_that_a_worker_serves(made):
    assert "PREFECT_DEFAULT_WORK_POOL_NAME" not in client_environment(made)
    made.services = (*made.services, "worker")
    assert client_environment(made)["PREFECT_DEFAULT_WORK_POOL_NAME"] == POOL


def test_shell_lines_survive_a_shell_and_drop_what_leads_elsewhere(made, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    variables = client_environment(made)
    script = "\n".join([*shell_lines(variables), "env"])
    out = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {f"{name}={value}" for name, value in variables.items()} <= set(out)
    assert not [line for line in out if line.startswith(("AWS_PROFILE", "AWS_SESSION_TOKEN"))]


def test_other_accounts_and_clusters_are_not_inherited(monkeypatch):
    others = (
        "AWS_PROFILE",
        "PREFECT_API_KEY",
        "PREFECT_DEFAULT_WORK_POOL_NAME",
        "RAY_ADDRESS",
        "RAY_AUTH_TOKEN",
    )
    for name in (*others, "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "x")
    kept = inherited()
    assert kept["OMP_NUM_THREADS"] == "x"
    assert not set(others) & set(kept)
