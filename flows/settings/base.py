"""What every flow's settings share: their base, the types of their fields, and the line for a mistake."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from attgan.errors import UserError
from flows.urls import DEFAULT_BUNDLE, hide_credentials, parse_url


def _absolute(url: str) -> str:
    """One spelling for each place, and paths as the driver means them: a worker has another working directory."""
    try:
        return parse_url(url, "URL").url
    except UserError:
        # Refused where it is opened, by the name of its option; until then Prefect keeps it as a parameter.
        return hide_credentials(url)


Url = Annotated[str, AfterValidator(_absolute)]


def _default_or_absolute(url: str) -> str:
    return url if url == DEFAULT_BUNDLE else _absolute(url)


BundleUrl = Annotated[str, AfterValidator(_default_or_absolute)]


class Settings(BaseModel):
    """The base of every flow's settings: immutable, and nothing that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _plain_name(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise ValueError("letters, digits, '-', '_' and '.' only, not starting with '.'")
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, AfterValidator(_plain_name)]


def refusal_of(error: ValidationError, where: str | None = None) -> UserError:
    """The refusal for settings that pydantic did not accept.

    Args:
        error: what pydantic raised.
        where: begins the line, where the settings are not the command's own.
    """
    # pydantic's kinds of mistake; all others are values that break a field's rule.
    codes = {"missing": "option-required", "extra_forbidden": "option-unknown"}
    code = codes.get(error.errors(include_url=False)[0]["type"], "setting-invalid")
    line = first_mistake(error)
    return UserError(code, f"{where}: {line}" if where else line)


def first_mistake(error: ValidationError) -> str:
    """One line for a validation error: the option, the value and the rule."""
    mistake = error.errors(include_url=False)[0]
    option = "--" + str(mistake["loc"][0]).replace("_", "-") if mistake["loc"] else "settings"
    rule = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "missing":
        return f"{option}: is required"
    value = mistake["input"]
    return f"{option} {value if isinstance(value, str | int | float) else repr(value)}: {rule}"
