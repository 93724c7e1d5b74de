"""Durations: one way to write them, and what deployments have stored before."""

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from flows.settings import EditSettings, PreviewSettings, SweepSettings, refusal_of, seconds_of

PLACES = {"source": "s3://b/in", "destination": "s3://b/out"}


def test_all_are_written_alike() -> None:
    settings = EditSettings(**PLACES, deadline="1.5h", stall_timeout="90s", node_timeout="0s")
    found = (settings.deadline, settings.stall_timeout, settings.node_timeout)
    assert [seconds_of(one or "") for one in found] == [5400, 90, 0]


@pytest.mark.parametrize("wrong", ["6", "06:00", "6 h", "h", "-1h", "1w"])
def test_what_is_no_duration_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EditSettings(**PLACES, deadline=wrong)
    assert refusal_of(caught.value).code == "setting-invalid"


def test_a_number_has_the_unit_that_it_had_before() -> None:
    edit = EditSettings.model_validate({**PLACES, "stall_timeout": 600.0, "node_timeout": "10"})
    assert (edit.stall_timeout, edit.node_timeout) == ("600s", "10m")
    sweep = SweepSettings.model_validate({"hours": 0.5, "trial_timeout": 12})
    assert (sweep.time_limit, sweep.trial_timeout) == ("0.5h", "12h")
    assert PreviewSettings.model_validate({"run": "r", "link_lifetime": 24.0}).link_lifetime == "24h"
    with pytest.raises(ValidationError):
        PreviewSettings.model_validate({"run": "r", "link_lifetime": 169})


def test_forms_accept_what_was_stored_and_what_they_make_of_it() -> None:
    former = {"hours": 0.5, "trial_timeout": 12, "node_timeout": 10.0}
    form = Draft202012Validator(SweepSettings.model_json_schema())
    renewed = SweepSettings.grouped(former)
    assert renewed["time_limit"] == "0.5h"
    for parameters in (former, renewed, {"time_limit": "90m"}):
        assert list(form.iter_errors(parameters)) == []
    assert list(form.iter_errors({"time_limit": True}))
