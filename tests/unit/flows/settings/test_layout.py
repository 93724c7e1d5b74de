"""Fields in groups: in forms, in parameters, and as before without groups."""

from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError

from flows.settings import OF_FLOW, EditSettings, Settings, SweepSettings, TrainSettings, refusal_of

PLACES = {"source": "/in", "destination": "/out", "dataset": "/faces", "bundle": "default"}


def given(model: type[Settings]) -> dict[str, Any]:
    """Every value that a form of an earlier version sent: all defaults, and what is required."""
    places = {name: value for name, value in PLACES.items() if name in model.model_fields}
    return model.model_validate(places).model_dump(mode="json")


@pytest.mark.parametrize("model", OF_FLOW.values())
def test_parameters_with_and_without_groups_mean_the_same_and_the_server_accepts_both(
    model: type[Settings],
) -> None:
    flat, form = given(model), model.model_json_schema()
    grouped = model.grouped(flat)
    assert grouped.keys() < flat.keys() | {group.key for group in model.full_layout().groups}
    assert model.model_validate(grouped) == model.model_validate(flat)
    for parameters in (flat, grouped):
        assert validate(_without_none(parameters), form) == []


@pytest.mark.parametrize("model", OF_FLOW.values())
def test_each_field_is_in_one_place(model: type[Settings]) -> None:
    layout = model.full_layout()
    placed = [*layout.common, *(name for group in layout.groups for name in group.fields)]
    assert sorted(placed) == sorted(model.model_fields)
    assert not {group.key for group in layout.groups} & model.model_fields.keys()
    assert {name for name, field in model.model_fields.items() if field.is_required()} <= {*layout.common}


@pytest.mark.parametrize("wrong", [{"quality": 0}, {"results": {"quality": 0}}])
def test_a_mistake_in_a_group_is_named(wrong: dict[str, Any]) -> None:
    parameters = {"source": "/in", "destination": "/out", **wrong}
    (mistake,) = validate(parameters, EditSettings.model_json_schema())
    assert mistake.path[-1] == "quality"
    with pytest.raises(ValidationError) as caught:
        EditSettings.model_validate(parameters)
    assert refusal_of(caught.value).line.startswith("--quality 0: ")


def test_a_former_name_is_accepted_and_shown_as_the_present_one() -> None:
    assert validate({"judge": "/there"}, SweepSettings.model_json_schema()) == []
    assert SweepSettings.grouped({"judge": "/there"}) == {"validation": {"evaluator": "/there"}}


@pytest.mark.parametrize("model", [SweepSettings, TrainSettings])
def test_a_form_left_as_it_is_chooses_nothing(model: type[Settings]) -> None:
    """So the values of a preset, or of a sweep's best trial, hold."""
    properties = model.model_json_schema()["properties"]
    assert {name for name, field in properties.items() if "default" in field} == {"dry_run"}


def _without_none(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
