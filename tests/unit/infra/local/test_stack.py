import json
import stat

import pytest

from infra.local.credentials import credentials
from infra.local.environment import write_environment
from infra.local.processes import current
from infra.local.stack import forget, load, locked, new
from tests.support.refusals import refused

PORTS = {"prefect": 4200, "s3": 8333, "ray": 6379}


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "a stack, with a comma"
    with locked(folder):
        stack = new(folder, PORTS, owner=current(), cpus=3)
        yield stack
    forget(stack)


def test_only_the_owner_may_read_folder_and_secrets(made):
    made.save()
    write_environment(made)
    secret = credentials(made)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in made.folder.rglob("*")}
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.scratch.stat().st_mode) == 0o700
    with_secrets = {
        path
        for path in modes
        if path.is_file()
        and (path == secret.ray_token_file or secret.s3_secret_key in path.read_text(errors="replace"))
    }
    assert {path.name for path in with_secrets} == {"env", "identities.json", "token"}
    assert all(modes[path] == 0o600 for path in with_secrets)


def test_secrets_differ_between_stacks_and_outlive_a_restart(made, tmp_path):
    with locked(tmp_path / "other"):
        other = new(tmp_path / "other", PORTS)
    assert credentials(made) == credentials(made)
    assert credentials(made).s3_secret_key != credentials(other).s3_secret_key
    assert credentials(made).ray_token_file.read_text() != credentials(other).ray_token_file.read_text()
    forget(other)


def test_socket_paths_stay_short_however_long_the_folder_is(tmp_path):
    folder = tmp_path / ("x" * 200)
    with locked(folder):
        stack = new(folder, PORTS)
    # Ray puts its sockets in session_<date>_<time>_<process>/sockets/.
    assert (
        len(str(stack.scratch)) + len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
        < 108
    )
    forget(stack)


def test_forgotten_stack_leaves_no_record_no_settings_no_scratch(made):
    made.save()
    write_environment(made)
    forget(made)
    assert load(made.folder) is None
    assert not made.scratch.exists()
    assert not (made.folder / "env").exists()


@pytest.mark.parametrize("text", ["", json.dumps({"folder": 1})])
def test_unreadable_record_is_refused_with_its_path(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with refused("stack-record-damaged") as caught:
        load(tmp_path)
    assert "state.json" in caught.value.line


def test_folder_is_locked_for_one_at_a_time(tmp_path):
    with locked(tmp_path), refused("stack-busy"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
