"""What the deployments' files hold, and the mistakes of `attgan deploy` and `attgan schedule` that need no server."""

import importlib
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows import cli
from flows.deploy import automations, deployments, schedule
from flows.runtime import exits
from flows.runtime.running import REFUSED
from flows.settings import DeploySettings, ScheduleSettings
from tests.support.refusals import codes_in, refused

INFRA = Path(__file__).parents[4] / "infra"
SPECS = yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"]
WATCHED = {spec.name: spec for spec in automations.read(INFRA / automations.CRASH_RULES)}


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path / "no-stack"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec["name"])
def test_each_deployment_leads_to_a_flow_of_its_name(spec: dict) -> None:
    module, name = spec["entrypoint"].rsplit(".", 1)
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, Flow)
    assert found.name == spec["flow_name"] == spec["name"]
    assert found.should_validate_parameters
    assert deployments.form_of(spec["flow_name"]) == parameter_schema(found).model_dump(exclude_unset=True)
    assert spec["enforce_parameter_schema"] is True
    assert schedule.TAG in spec["tags"]
    assert spec["description"]


def test_a_flow_that_is_not_there_is_refused() -> None:
    with refused("flow-unknown"):
        deployments.form_of("nosuch")


def test_all_flows_are_deployed_and_the_edit_alone_has_a_schedule_which_waits_to_be_enabled() -> None:
    names = {spec["name"] for spec in SPECS}
    assert names == {"subset", "align", "train", "train-classifier", "sweep", "pipeline", "edit"}
    scheduled = {spec["name"]: spec["schedules"] for spec in SPECS if "schedules" in spec}
    assert list(scheduled) == ["edit"]
    (nightly,) = scheduled["edit"]
    assert nightly == {"active": False, **schedule.NIGHTLY.model_dump(include={"cron", "timezone"})}


def test_a_heartbeat_may_be_missed_before_a_run_is_crashed() -> None:
    beats = {
        int(spec["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) for spec in SPECS
    }
    assert beats == {30}
    silent, never_began = (
        WATCHED[f"attgan-crash-{which}"].trigger for which in ("silent-runs", "runs-that-never-began")
    )
    assert silent.within.total_seconds() >= 3 * 180, "Prefect's default, of runs started elsewhere"
    for trigger in (silent, never_began):
        assert set(trigger.match_related["prefect.resource.name"]) == {spec["flow_name"] for spec in SPECS}
    # The server may hand the first states of a run to its automations a quarter of an hour late.
    assert never_began.within.total_seconds() > 15 * 60 + 180


def test_a_failure_is_left_to_those_who_tell_of_it() -> None:
    (failed,) = (
        spec.trigger.expect
        for spec in automations.read(INFRA / automations.NOTIFICATIONS, block_document_id=uuid4())
        if f"prefect.flow-run.{REFUSED}" in spec.trigger.expect
    )
    # SQLite may be locked for these, and then the event is lost to the others too.
    for name in WATCHED:
        assert not failed & (WATCHED[name].trigger.expect | WATCHED[name].trigger.after)


def test_what_a_deployment_keeps_is_what_was_given() -> None:
    given = ScheduleSettings.model_validate(
        {"source": "/in", "set": ["Bangs=1"], "cron": "0 4 * * *", "enable": True}
    )
    assert given.given == {"source": "/in", "set": ["Bangs=1"]}


@pytest.mark.parametrize(
    ("arguments", "code", "option"),
    [
        (["schedule", "edit", "--cron", "61 * * * *"], "cron-invalid", "--cron 61 * * * *: "),
        (["schedule", "edit", "--timezone", "Mars"], "setting-invalid", "--timezone Mars: "),
        (["schedule", "edit", "--enable", "--disable"], "setting-invalid", "--disable True: "),
        (["schedule", "edit", "--redo"], "option-unknown", "--redo"),
        (["deploy", "--notify", "slack"], "setting-invalid", "--notify slack: "),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, option: str
) -> None:
    assert cli.run(arguments) == exits.WRONG_USE
    printed = capsys.readouterr().err
    assert codes_in(printed) == [code]
    assert option in printed
    assert printed.count("\n") == 1


def test_a_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deployments, "require_prefect", lambda: None)
    with refused("deployment-file-missing"):
        deployments.deploy(DeploySettings(file=str(tmp_path / "prefect.yaml")))
    for name in ("prefect.yaml", automations.CRASH_RULES):
        (tmp_path / name).write_text("{}")
    with refused("deployment-file-missing") as caught:
        deployments.deploy(DeploySettings(file=str(tmp_path / "prefect.yaml")))
    assert automations.NOTIFICATIONS in caught.value.line
