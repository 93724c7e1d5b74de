"""The base model of all settings, the types of their fields, and the refusal of invalid ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

from attgan.errors import UserError
from flows.settings.durations import FormerlyMinutes
from flows.settings.layout import Layout, complete, flat, form, grouped
from flows.urls import DEFAULT_BUNDLE, hide_credentials, parse_url


def _absolute(url: str) -> str:
    """The normal form of a URL. Relative paths become absolute, because workers have other working directories."""
    try:
        return parse_url(url, "URL").url
    except UserError:
        # It is refused where it is opened, with the name of its option. Until then Prefect stores it as a parameter.
        return hide_credentials(url)


Url = Annotated[str, AfterValidator(_absolute)]


def _default_or_absolute(url: str) -> str:
    return url if url == DEFAULT_BUNDLE else _absolute(url)


BundleUrl = Annotated[str, AfterValidator(_default_or_absolute)]


EvaluatorUrl = Annotated[
    BundleUrl | None,
    # Up to version 0.2 it was called judge. That name is still accepted.
    Field(validation_alias=AliasChoices("evaluator", "judge")),
]


class Settings(BaseModel):
    """The base of all settings: immutable, and without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The order of the fields in forms and help; by default that of the class.
    layout: ClassVar[Layout] = Layout()

    @classmethod
    def full_layout(cls) -> Layout:
        """The order of all fields."""
        return complete(cls.layout, cls)

    @classmethod
    def grouped(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a run as the form in the UI has them, in groups."""
        return grouped(parameters, cls, cls.full_layout())

    @classmethod
    def flat(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a run without groups."""
        return flat(parameters, cls.full_layout())

    @property
    def chosen(self) -> dict[str, Any]:
        """What the user chose. If all options are set, as by a form in the UI: those that differ from the defaults."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        values = {name: getattr(self, name) for name in self.model_fields_set}
        # A form leaves out what is None.
        if set(values) >= {name for name, default in defaults.items() if default is not None}:
            values = {name: value for name, value in values.items() if value != defaults[name]}
        return values

    @model_validator(mode="before")
    @classmethod
    def _without_groups(cls, values: Any) -> Any:
        return cls.flat(values) if isinstance(values, Mapping) else values

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        reference = handler(core_schema)
        form(handler.resolve_ref_schema(reference), cls, cls.full_layout())
        return reference


def _plain_name(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise ValueError("letters, digits, '-', '_' and '.' only, not starting with '.'")
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, AfterValidator(_plain_name)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\n]+$")]

# Options that several commands have. Each says what it is once, here.
CacheGb = Annotated[
    float | None,
    Field(
        ge=0,
        description="Keep all decoded images in memory, once for each node, if they fit into this many GiB; by default "
        "a quarter of the memory, at most 4.",
    ),
]
# The same as attgan.models.layers.blocks.Activation, which a test checks. Importing it would load torch.
Activation = Literal["relu", "leaky_relu"]
NoFaces = Annotated[
    bool,
    Field(
        description="Show no face: make no picture and no page of the images, in the UI or beside the report. The "
        "preview page of such a run lists keys and reasons only."
    ),
]
WeightsLicence = Annotated[
    Line | None,
    Field(description="One line on what the weights may be used for; by default that of the data."),
]
StoredAs = Annotated[
    Literal["cropped", "original"],
    Field(description="Store the original bytes, or faces cropped and resized to --size."),
]
StoredSize = Annotated[
    int,
    Field(
        ge=64,
        multiple_of=32,
        description="Side of the stored faces, in pixels. Smaller faces are left out.",
    ),
]
NodeTimeout = Annotated[
    FormerlyMinutes,
    Field(
        description="How long to wait at most, while no node of the cluster can run a task, for the autoscaler to add "
        "one."
    ),
]
UnreadableShare = Annotated[
    Share, Field(description="Stop when more than this share of the images cannot be opened.")
]


def refusal_of(error: ValidationError, where: str | None = None) -> UserError:
    """The refusal for settings that pydantic did not accept.

    Args:
        error: from pydantic.
        where: the beginning of the line, for settings that are not the command's own options.
    """
    # pydantic's types of errors. All others are values that break the rule of a field.
    codes = {"missing": "option-required", "extra_forbidden": "option-unknown"}
    code = codes.get(error.errors(include_url=False)[0]["type"], "setting-invalid")
    line = _line_of(error)
    return UserError(code, f"{where}: {line}" if where else line)


def _line_of(error: ValidationError) -> str:
    """One line for a validation error: the option, the value and the rule."""
    mistake = error.errors(include_url=False)[0]
    option = "--" + str(mistake["loc"][0]).replace("_", "-") if mistake["loc"] else "settings"
    # What pydantic says itself begins with "Input should be".
    rule = mistake["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
    if mistake["type"] == "missing":
        return f"{option}: is required"
    value = mistake["input"]
    return f"{option} {value if isinstance(value, str | int | float) else repr(value)}: {rule}"
