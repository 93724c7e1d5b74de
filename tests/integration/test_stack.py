"""The local stack as its clients and its operator meet it."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.exceptions
import psutil
import pytest

from tests.support.processes import answers
from tests.support.servers.leftovers import leftovers, processes_of, record
from tests.support.waiting import LIMIT

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[2]
INFRA = (sys.executable, "-m", "infra")


@pytest.fixture
def folder(stack):
    return Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1]


def test_prefect_serves_its_api_and_its_ui(stack):
    api = stack["PREFECT_API_URL"]
    assert json.load(urllib.request.urlopen(f"{api}/health")) is True
    settings = json.load(urllib.request.urlopen(api.removesuffix("/api") + "/ui-settings"))
    # The address that browsers call.
    assert settings["api_url"] == api
    assert "<html" in urllib.request.urlopen(api.removesuffix("/api")).read().decode().lower()


@pytest.mark.parametrize(("origin", "allowed"), [("{ui}", True), ("http://elsewhere.example", False)])
def test_prefect_answers_no_page_of_another_site(stack, origin, allowed):
    api = stack["PREFECT_API_URL"]
    origin = origin.format(ui=api.removesuffix("/api"))
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    request = urllib.request.Request(f"{api}/flow_runs/filter", method="OPTIONS", headers=asked)
    try:
        headers = urllib.request.urlopen(request).headers
    except urllib.error.HTTPError as refusal:
        headers = refusal.headers
    assert (headers.get("Access-Control-Allow-Origin") == origin) == allowed


def test_prefect_without_a_server_refuses_instead_of_starting_one(stack):
    script = "import prefect\n@prefect.flow\ndef f(): print('ran')\nf()"
    variables = {**os.environ, **stack, "PREFECT_API_URL": "", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    ended = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "ran" not in ended.stdout
    assert "No Prefect API URL provided" in ended.stderr


@pytest.mark.seaweedfs(reason="moto lets anybody in")
@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [("{key}", "wrong", "SignatureDoesNotMatch"), ("stranger", "{secret}", "InvalidAccessKeyId")],
)
def test_s3_refuses_wrong_credentials(stack, key, secret, code):
    right = {"key": stack["AWS_ACCESS_KEY_ID"], "secret": stack["AWS_SECRET_ACCESS_KEY"]}
    client = boto3.session.Session().client(
        "s3", aws_access_key_id=key.format(**right), aws_secret_access_key=secret.format(**right)
    )
    with pytest.raises(botocore.exceptions.ClientError, match=code):
        client.list_buckets()


@pytest.mark.seaweedfs(reason="moto lets anybody in")
def test_s3_refuses_the_nameless(stack):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(stack["AWS_ENDPOINT_URL"])


def test_s3_does_not_make_a_bucket_by_itself(stack):
    client = boto3.session.Session().client("s3")
    with pytest.raises(client.exceptions.NoSuchBucket):
        client.put_object(Bucket="never-made", Key="a", Body=b"1")


def test_s3_holds_many_buckets(stack):
    client = boto3.session.Session().client("s3")
    buckets = [f"many-{number}" for number in range(10)]
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="a/b", Body=bucket.encode())
    for bucket in buckets:
        assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == bucket.encode()
        client.delete_object(Bucket=bucket, Key="a/b")
        client.delete_bucket(Bucket=bucket)


def test_ray_refuses_a_client_without_the_token(stack, tmp_path):
    script = "import ray; ray.init(); print('let in')"
    tokenless = {
        **stack,
        "RAY_AUTH_MODE": "disabled",
        "HOME": str(tmp_path),
        "RAY_NUM_REDIS_GET_RETRIES": "1",
    }
    del tokenless["RAY_AUTH_TOKEN_PATH"]
    wrong = {**stack, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_NUM_REDIS_GET_RETRIES": "1"}
    (tmp_path / "token").write_text("0" * 64)
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=_without_ray(os.environ) | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for variables in (tokenless, wrong, stack)
    ]
    outputs = [client.communicate(timeout=LIMIT)[0] for client in clients]
    assert [client.returncode == 0 for client in clients] == [False, False, True], outputs
    assert "Authentication token is missing or incorrect" in outputs[0]
    assert "Authentication token is missing or incorrect" in outputs[1]
    assert "let in" in outputs[2]


def test_ray_workers_have_credentials_and_server_addresses(stack):
    script = (
        "import ray, os, json; ray.init(logging_level='error')\n"
        "@ray.remote\n"
        "def worker(): return dict(os.environ)\n"
        "print(json.dumps(ray.get(worker.remote())))"
    )
    variables = _without_ray(os.environ) | stack
    out = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True).stdout
    worker = json.loads(out.splitlines()[-1])
    names = (
        "PREFECT_API_URL",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "RAY_AUTH_MODE",
    )
    assert {name: worker.get(name) for name in names} == {name: stack[name] for name in names}


@pytest.mark.seaweedfs(reason="it is about the stack as users start it")
def test_nothing_listens_beyond_this_machine(stack, folder):
    found = processes_of(record(folder)["mark"])
    assert {"weed", "gcs_server", "raylet"} <= set(answers(psutil.Process.name, found))
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for connections in answers(lambda process: process.net_connections("tcp"), found)
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_secrets_are_in_private_files_and_in_no_log(stack, folder):
    token = Path(stack["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in (folder / "env", folder / "s3" / "identities.json", token):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    logs = "".join(path.read_text(errors="replace") for path in (folder / "logs").glob("*.log"))
    assert logs
    assert stack["AWS_SECRET_ACCESS_KEY"] not in logs
    assert token.read_text() not in logs
    commands = answers(psutil.Process.cmdline, processes_of(record(folder)["mark"]))
    arguments = " ".join(word for command in commands for word in command)
    assert stack["AWS_SECRET_ACCESS_KEY"] not in arguments
    assert token.read_text() not in arguments


@pytest.mark.seaweedfs(reason="it is about the stack as users start it")
def test_status_shows_each_service_and_env_leads_to_it(stack, folder):
    status = _infra("status", "--dir", folder)
    assert status.returncode == 0, status.stdout
    for address in (
        stack["PREFECT_API_URL"].removesuffix("/api"),
        stack["AWS_ENDPOINT_URL"],
        stack["RAY_ADDRESS"],
    ):
        (line,) = [line for line in status.stdout.splitlines() if address in line]
        assert " healthy " in line
        assert " MiB" in line
    printed = _infra("env", "--dir", folder).stdout
    assert f"export AWS_ENDPOINT_URL={stack['AWS_ENDPOINT_URL']}\n" in printed


@pytest.mark.seaweedfs(reason="it is about the stack as users start it")
def test_second_stack_runs_beside_the_first_and_is_gone_after_its_command(stack, folder, tmp_path):
    # Its command keeps a copy of its record and asks both stacks how they are.
    ask = f"{sys.executable} -m infra status --dir"
    script = f"cp {tmp_path}/state.json {tmp_path}/copy.json && {ask} {tmp_path} && {ask} {folder} && exit 7"
    options = ("--free-ports", "--without", "prefect", "--without", "ray", "--dir", tmp_path)
    ended = _infra("run", *options, "--", "sh", "-c", script)
    assert ended.returncode == 7, ended.stdout + ended.stderr
    second = json.loads((tmp_path / "copy.json").read_text())
    assert not set(second["ports"].values()) & set(record(folder)["ports"].values())
    assert leftovers(second) == []
    assert _infra("status", "--dir", folder).returncode == 0


@pytest.mark.long
def test_objects_outlive_down_and_up(stack, tmp_path):
    def up():
        words = ("up", "--free-ports", "--without", "prefect", "--without", "ray", "--dir", tmp_path)
        ended = _infra(*words)
        assert ended.returncode == 0, ended.stderr
        variables = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        return boto3.session.Session().client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    try:
        client = up()
        client.create_bucket(Bucket="kept")
        for number in range(50):
            client.put_object(Bucket="kept", Key=f"folder/{number}", Body=b"%d" % number)
        again = _infra("up", "--dir", tmp_path)
        assert again.returncode == 0
        assert again.stdout.startswith(f"a stack is already up in {tmp_path}")
        assert _infra("down", "--dir", tmp_path).returncode == 0
        # On other ports.
        client = up()
        got = [
            client.get_object(Bucket="kept", Key=f"folder/{number}")["Body"].read() for number in range(50)
        ]
        assert got == [b"%d" % number for number in range(50)]
        client.put_object(Bucket="kept", Key="folder/new", Body=b"new")
    finally:
        _infra("down", "--dir", tmp_path)


def test_prefect_remembers_who_holds_a_concurrency_limit(stack):
    settings = json.load(urllib.request.urlopen(f"{stack['PREFECT_API_URL']}/admin/settings"))
    # In memory, as by default, a restart of the server would end the runs that hold one.
    assert settings["server"]["concurrency"]["lease_storage"].endswith(".filesystem")


@pytest.mark.long
def test_worker_is_shown_and_its_runs_end_with_the_stack_and_say_so(tmp_path):
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "sleepy.py").write_text(SLEEPY)
    folder = tmp_path / "stack"
    try:
        up = _infra("up", "--free-ports", "--without", "dashboard", "--dir", folder)
        assert up.returncode == 0, up.stderr
        (line,) = [line for line in up.stdout.splitlines() if line.startswith("Worker")]
        assert " healthy " in line
        state = record(folder)
        variables = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
        started = subprocess.run(
            [sys.executable, "-c", START, variables["PREFECT_DEFAULT_WORK_POOL_NAME"]],
            env=_without_ray(os.environ) | variables,
            cwd=tmp_path / "flow",
            capture_output=True,
            text=True,
        )
        assert started.returncode == 0, started.stderr
        run = started.stdout.split()[-1]
        environments = answers(psutil.Process.environ, processes_of(state["mark"]))
        assert any(("PREFECT__FLOW_RUN_ID", run) in one.items() for one in environments)
    finally:
        down = _infra("down", "--dir", folder)
    assert down.returncode == 0, down.stderr
    assert leftovers(state) == []
    with sqlite3.connect(folder / "prefect" / "prefect.db") as database:
        (row,) = database.execute("select state_type from flow_run where id = ?", (run,))
    assert row in [("CANCELLED",), ("CRASHED",)]


# A flow that waits for as long as it is let, and what deploys it and starts it.
SLEEPY = """
import time
from prefect import flow

@flow
def sleepy():
    time.sleep(600)
"""
START = """
import sys, time
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment

sleepy = flow.from_source(source=".", entrypoint="sleepy.py:sleepy")
sleepy.deploy("here", work_pool_name=sys.argv[1], print_next_steps=False)
run = run_deployment("sleepy/here", timeout=0)
with get_client(sync_client=True) as client:
    while not client.read_flow_run(run.id).state.is_running():
        time.sleep(0.2)
print(run.id)
"""


def _without_ray(variables):
    return {name: value for name, value in variables.items() if not name.startswith("RAY_")}


def _infra(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([*INFRA, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
