"""A mistake in a setting is one line: the option, the value and the rule."""

import pytest
from pydantic import ValidationError

from attgan.errors import UserError
from flows.settings import EditSettings, SweepSettings, TrainSettings, refusal_of
from flows.urls import parse_url

GIVEN = {"source": "in", "destination": "out", "bundle": "model"}


def mistake(**options: object) -> UserError:
    with pytest.raises(ValidationError) as caught:
        EditSettings.model_validate(GIVEN | options)
    return refusal_of(caught.value)


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        ({"batch_size": 0}, "setting-invalid", "--batch-size 0: "),
        ({"set": ["Eyeglasses"]}, "setting-invalid", "--set Eyeglasses: "),
        ({"bacth_size": 3}, "option-unknown", "--bacth-size 3: "),
        ({"run_id": "../x"}, "setting-invalid", "--run-id ../x: "),
    ],
)
def test_one_line_names_option_value_and_rule(options: dict[str, object], code: str, option: str) -> None:
    refusal = mistake(**options)
    assert refusal.code == code
    assert refusal.line.startswith(option)
    assert "\n" not in refusal.line


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        EditSettings.model_validate({"source": "in", "bundle": "b"})
    refusal = refusal_of(caught.value, "trial 3")
    assert refusal.code == "option-required"
    assert refusal.line.startswith("trial 3: --destination: ")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3://bucket/in/", "s3://bucket/in"),
        ("file:///data/a%20b", "/data/a b"),
        ("s3:/bucket/in", "s3:/bucket/in"),
    ],
)
def test_a_place_has_one_spelling(given: str, meant: str) -> None:
    assert EditSettings.model_validate(GIVEN | {"source": given}).source == meant


@pytest.mark.parametrize("url", ["s3://KEY:SECRET@bucket/in", "ftp://user:SECRET@host/in"])
def test_credentials_in_a_url_are_not_kept_where_prefect_records_them(url: str) -> None:
    settings = EditSettings.model_validate(GIVEN | {"source": url})
    assert "SECRET" not in settings.model_dump_json()
    with pytest.raises(UserError):
        parse_url(settings.source, "--source")


@pytest.mark.parametrize("model", [TrainSettings, SweepSettings])
def test_a_field_is_known_by_its_former_name(model: type[TrainSettings | SweepSettings]) -> None:
    """As in the parameters of a deployment that version 0.2 registered."""
    others = {"dataset": "/faces", "destination": "/run"}
    assert model.model_validate(others | {"judge": "/there"}).evaluator == "/there"
    assert "judge" not in model.model_validate(others | {"judge": "/there"}).model_dump()
