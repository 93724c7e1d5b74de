"""A mistake in a setting is one line: the option, the value and the rule."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from attgan.errors import UserError
from flows.settings import EditSettings, SubsetSettings, first_mistake
from flows.urls import parse_url

GIVEN = {"source": "in", "destination": "out", "bundle": "model"}


def mistake(**options: object) -> str:
    with pytest.raises(ValidationError) as caught:
        EditSettings.model_validate(GIVEN | options)
    return first_mistake(caught.value)


def test_the_defaults_add_eyeglasses() -> None:
    assert EditSettings.model_validate(GIVEN).set == ["Eyeglasses=1"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"batch_size": 0}, "--batch-size 0: Input should be greater than or equal to 1"),
        ({"set": ["Eyeglasses"]}, "--set Eyeglasses: write NAME=1"),
        ({"set": []}, "--set []: "),
        ({"output": "video"}, "--output video: Input should be 'image' or 'face'"),
        ({"bacth_size": 3}, "--bacth-size 3: Extra inputs are not permitted"),
        ({"run_id": "../x"}, "--run-id ../x: letters"),
        ({"max_failed_share": 1.5}, "--max-failed-share 1.5: "),
    ],
)
def test_one_line_names_option_value_and_rule(options: dict[str, object], line: str) -> None:
    assert mistake(**options).startswith(line)
    assert "\n" not in mistake(**options)


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        EditSettings.model_validate({"source": "in", "bundle": "b"})
    assert first_mistake(caught.value) == "--destination: is required"


@pytest.mark.parametrize("model", [EditSettings, SubsetSettings])
def test_every_option_says_what_it_is(model: type[EditSettings]) -> None:
    assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3://bucket/in/", "s3://bucket/in"),
        ("file:///data/a%20b", "/data/a b"),
        ("/data/in/", "/data/in"),
        ("s3:/bucket/in", "s3:/bucket/in"),  # left as it is, to be refused where it is opened
        ("", ""),
    ],
)
def test_a_place_has_one_spelling(given: str, meant: str) -> None:
    assert EditSettings.model_validate(GIVEN | {"source": given}).source == meant


def test_a_path_is_the_drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert EditSettings.model_validate(GIVEN).source == str(tmp_path / "in")


@pytest.mark.parametrize("url", ["s3://KEY:SECRET@bucket/in", "ftp://user:SECRET@host/in"])
def test_credentials_in_a_url_are_not_kept_where_prefect_records_them(url: str) -> None:
    settings = EditSettings.model_validate(GIVEN | {"source": url})
    assert "SECRET" not in settings.model_dump_json()
    with pytest.raises(UserError, match=r"--source"):
        parse_url(settings.source, "--source")
