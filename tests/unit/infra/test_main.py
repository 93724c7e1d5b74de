import socket

import pytest

from infra.__main__ import main
from infra.errors import StackError
from tests.support.refusals import codes_in


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Pytest keeps its own handlers.
    monkeypatch.setattr("infra.signals.interruptible", lambda: None)


@pytest.mark.parametrize(
    ("arguments", "code", "option"),
    [
        (["up", "--s3-port", "0"], "command-line-invalid", "--s3-port"),
        (["up", "--without", "redis"], "command-line-invalid", "--without"),
        (["up", "--time-limit", "soon"], "command-line-invalid", "--time-limit"),
        (["up", "--tiem-limit", "2s"], "command-line-invalid", "--tiem-limit"),
        (["statsu"], "command-line-invalid", "statsu"),
        # Outside of what stacks choose, which may be at work beside this test.
        (["up", "--prefect-port", "19999", "--s3-port", "19999"], "port-taken", "--s3-port 19999: "),
        (
            ["up", "--without", "prefect", "--without", "s3", "--without", "ray"],
            "nothing-to-start",
            "--without: ",
        ),
        (["run", "--worker", "--without", "ray", "--", "true"], "worker-needs-service", "--worker: "),
        (["run", "--worker", "--without", "worker", "--", "true"], "worker-needs-service", "--worker: "),
        (["run", "--free-ports"], "command-missing", "run: "),
        (["run", "--free-ports", "--"], "command-missing", "run: "),
        # Without the two hyphens, this would be our own help.
        (["run", "--free-ports", "echo", "--help"], "command-missing", "run: "),
        (["up", "--cpus", "2.5"], "command-line-invalid", "--cpus"),
        (["up", "--ray-port", "6380.7"], "command-line-invalid", "--ray-port"),
        (["up", "--dir="], "command-line-invalid", "--dir"),
        (["run", "--", "no-such-program"], "program-missing", "no-such-program: "),
    ],
)
def test_refusal_is_one_line_with_code_2_and_nothing_is_made(arguments, code, option, capsys, tmp_path):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert codes_in(err) == [code]
    assert option in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--s3-port"])
@pytest.mark.parametrize("host", ["127.0.0.1"])
def test_taken_port_is_named_with_its_option_and_nothing_is_made(option, host, capsys, tmp_path):
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        assert main(["up", "--free-ports", option, str(port)]) == 2
    err = capsys.readouterr().err
    assert codes_in(err) == ["port-taken"]
    assert f"{option} {port}: " in err
    assert "--free-ports" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "env"])
def test_without_a_stack_there_is_nothing_to_show(command, capsys):
    assert main([command]) == 1
    assert "no stack is up in .local/stack" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "services"),
    [
        (["up"], "prefect s3 ray worker"),
        (["up", "--without", "s3"], "prefect ray"),
        (["run", "--", "true"], "prefect s3 ray"),
    ],
)
def test_the_worker_belongs_to_a_whole_stack_that_stays(arguments, services, monkeypatch, capsys):
    seen = []

    def start(folder, services, **options):
        seen.append(" ".join(services))
        raise StackError("not now")

    monkeypatch.setattr("infra.local.lifecycle.up", start)
    assert main([*arguments[:1], "--free-ports", *arguments[1:]]) == 1
    assert seen == [services]
    capsys.readouterr()


def test_without_a_command_its_help_is_no_success(capsys):
    assert main([]) == 2
    assert "deployments" in capsys.readouterr().out
