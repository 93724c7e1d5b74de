"""Which stack a command runs on, and how it is started again on one of its own."""

from pathlib import Path

import pytest

from flows import cli
from flows.operate import stack_choice
from flows.settings import PipelineSettings, SweepSettings


class Became(Exception):
    """In place of a process that goes on as another program."""


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path))
    monkeypatch.setenv(stack_choice._OWNER, "")
    for name in ("PREFECT_API_URL", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)

    def become(module: str, *arguments: str) -> None:
        raise Became([module, *arguments])

    monkeypatch.setattr(stack_choice, "become", become)


def test_the_command_is_started_again_with_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--align-options.max-steps=3", '--edit-options={"set": ["Bangs=1"], "limit": 2}', "--images=80"]
    with pytest.raises(Became) as first:
        cli.app(["pipeline", *given], exit_on_error=False, result_action="return_value")
    command = first.value.args[0]
    again = command[command.index("flows.cli") + 1 :]
    with pytest.raises(Became) as second:
        cli.app(again, exit_on_error=False, result_action="return_value")
    assert second.value.args[0] == command
    options = {name: value for name, _, value in (word[2:].partition("=") for word in again[1:])}
    assert options == {
        "align-options": '{"max-steps": "3"}',
        "edit-options": '{"set": ["Bangs=1"], "limit": 2}',
        "images": "80",
    }


@pytest.mark.parametrize(
    "settings",
    [
        SweepSettings(destination="s3://mine/sweep"),
        PipelineSettings(edited="s3://mine/edited"),
        PipelineSettings(sweep_options={"judge": "s3://mine/judge"}),
    ],
)
def test_a_bucket_of_the_user_s_is_not_sought_on_a_stack_of_its_own(
    settings: SweepSettings | PipelineSettings,
) -> None:
    stack_choice.stack_for("sweep", settings, own=True)
    with pytest.raises(Became):
        stack_choice.stack_for("sweep", type(settings)(), own=True)
