"""The space of a sweep: one axis for each setting that differs between trials.

On the command line ``lambda_reconstruction=1,10,50`` is a list of values; ``learning_rate=log:1e-5:1e-3``,
``lambda_penalty=uniform:1:20`` and ``width=int:8:32`` are ranges.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import product
from typing import Annotated, Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from attgan.errors import UserError
from attgan.training.config import EXECUTION_ONLY, TrainingConfig
from flows.settings import SweepSettings, TrainSettings
from flows.settings.training import NetworkShape

Scale = Literal["log", "uniform", "int"]

_ONE_FOR_ALL = {
    "attribute": "a sweep is for one attribute, --attribute",
    "attributes": "trials of a sweep have the same attributes, --attributes",
    "dataset": "trials of a sweep are validated on the same faces, of one --dataset; search subset for the faces to "
    "train on",
    "size": "trials of a sweep are measured on the same faces, of one --size",
    "validation_share": "trials of a sweep are validated on the same faces, --validation-share",
    "validation_images": "trials of a sweep are validated on the same faces, --validation-images",
}
_SHAPE = frozenset(NetworkShape.model_fields) - set(_ONE_FOR_ALL)
NAMES: frozenset[str] = frozenset(TrainingConfig.model_fields) - EXECUTION_ONLY - set(_ONE_FOR_ALL) | _SHAPE
"""What can be searched: the settings of a training that decide its result."""

_SHORT = {
    "lambda_reconstruction": "λ1",
    "lambda_attributes": "λ2",
    "lambda_classification": "λ3",
    "lambda_penalty": "penalty",
    "freeze_d": "FreezeD",
    "learning_rate": "rate",
    "discriminator_steps": "n_d",
    "shortcut_layers": "shortcut",
    "inject_layers": "inject",
    "batch_size": "batch",
    "max_steps": "steps",
}

# Significant digits of a number that is drawn from a range. Rounded, it does not depend on a machine's logarithm.
_DIGITS = 6


@dataclass(frozen=True)
class Choices:
    """An axis with a list of different values."""

    name: str
    values: tuple[Any, ...]

    @property
    def text(self) -> str:
        """As it is written: ``parse_axis`` reads it again."""
        return f"{self.name}={','.join(map(value_text, self.values))}"

    def at(self, share: float) -> Any:
        """The value at ``share`` of the axis, in [0, 1)."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True)
class Range:
    """An axis with all numbers from ``low`` to ``high``, both included; with scale ``int`` only the whole ones."""

    name: str
    scale: Scale
    low: float
    high: float

    @property
    def text(self) -> str:
        """As it is written: ``parse_axis`` reads it again."""
        return f"{self.name}={self.scale}:{value_text(self.low)}:{value_text(self.high)}"

    def at(self, share: float) -> float:
        """The number at ``share`` of the axis, in [0, 1)."""
        low, high = self.low, self.high
        if self.scale == "int":
            return int(low) + int(share * (high - low + 1))
        number = low * (high / low) ** share if self.scale == "log" else low + share * (high - low)
        return min(max(float(f"{number:.{_DIGITS}g}"), low), high)


Axis = Choices | Range


def parse_space(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read the axes of ``--space``.

    Raises:
        UserError: an axis is malformed, or repeated.
    """
    axes: dict[str, Axis] = {}
    for text in texts:
        name, equals, words = text.partition("=")
        if not equals:
            raise UserError(
                "axis-malformed",
                f"--space {text or repr(text)}: write NAME=VALUE,VALUE,… or NAME=log:LOW:HIGH",
            )
        axis = parse_axis(name.strip(), words, f"--space {text}")
        if axis.name in axes:
            raise UserError(
                "axis-repeated",
                f"--space {text}: {axis.name} is an axis already; write all its values as one list",
            )
        axes[axis.name] = axis
    return tuple(axes.values())


def parse_axis(name: str, values: object, where: str) -> Axis:
    """Read one axis.

    Args:
        name: of a setting.
        values: a list, one value, or text as on the command line.
        where: the beginning of refusals.

    Raises:
        UserError: this setting cannot be searched, there is no value, one is repeated, or one breaks the setting's
            rule.
    """
    _check_name(name, where)
    if isinstance(values, str):
        scale, *ends = values.split(":")
        if scale in get_args(Scale):
            return _range(name, scale, ends, where)  # type: ignore[arg-type]
        values = [part.strip() for part in values.split(",")] if values.strip() else []
    elif not isinstance(values, Sequence):
        values = [] if values is None else [values]
    if not values:
        raise UserError("axis-empty", f"{where}: {name} has no values")
    found: dict[Any, None] = {}
    for value in values:
        checked = check_value(name, value, where)
        if checked in found:
            raise UserError(
                "value-repeated", f"{where}: {value_text(checked)} is repeated, and no trial runs twice"
            )
        found[checked] = None
    return Choices(name, tuple(found))


def check_value(name: str, value: object, where: str) -> Any:
    """Check a value and convert it to the setting's type.

    Raises:
        UserError: it breaks the setting's rule, or is not finite.
    """
    shown = value if isinstance(value, str) else value_text(value)
    if isinstance(value, bool):
        refuse_switch(name, value, f"{where}: {name} {shown}")
    if isinstance(value, str) and value.lower() in ("none", "null"):
        value = None
    if isinstance(value, str) and "," in value:
        raise UserError("value-with-comma", f"{where}: {name} {shown}: a comma separates values")
    try:
        checked = _rule(name).validate_python(value)
    except ValidationError as error:
        rule = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UserError("setting-invalid", f"{where}: {name} {shown or repr(shown)}: {rule}") from None
    if isinstance(checked, float) and not math.isfinite(checked):
        raise UserError("value-not-finite", f"{where}: {name} {shown}: is not finite")
    return checked


def refuse_switch(name: str, value: bool, where: str) -> None:
    """Refuse true or false for a number: YAML reads yes, no, on and off so, and they would count as 1 and 0.

    Raises:
        UserError: the setting is a number.
    """
    if bool not in (kinds := _kinds(name)) and kinds & {int, float}:
        raise UserError("number-as-switch", f"{where}: is {'yes' if value else 'no'}, and must be a number")


def value_text(value: object) -> str:
    """A value in the notation of a space."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def label(changes: Mapping[str, Any]) -> str:
    """The settings in which a trial differs from others: ``λ1 50, FreezeD 4``."""
    return ", ".join(_short(name, value) for name, value in changes.items()) or "trained"


def _short(name: str, value: Any) -> str:
    if name == "fresh_discriminator":
        return "fresh discriminator" if value else "aligned discriminator"
    if name == "strategy":
        return str(value).capitalize()
    shown = f"{value:.4g}" if isinstance(value, float) else value_text(value)
    return f"{_SHORT.get(name, name.replace('_', ' '))} {shown}"


def grid(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """All combinations of the lists' values. The last axis changes fastest. Without axes, one empty combination."""
    lists = [axis.values for axis in axes if isinstance(axis, Choices)]
    for values in product(*lists):
        yield dict(zip((axis.name for axis in axes), values, strict=True))


def grid_size(axes: Sequence[Axis]) -> int | None:
    """The number of combinations; None if an axis is a range."""
    if any(isinstance(axis, Range) for axis in axes):
        return None
    return math.prod(len(axis.values) for axis in axes if isinstance(axis, Choices))


def draws(axes: Sequence[Axis], count: int, seed: int) -> list[dict[str, Any]]:
    """The first ``count`` different combinations that the seed draws; fewer if there are no more.

    A larger count only adds combinations to those of a smaller one.
    """
    # Python guarantees that random() draws the same numbers in all versions.
    stream = random.Random(seed)
    count = min(count, grid_size(axes) or count)
    drawn: dict[tuple[Any, ...], dict[str, Any]] = {}
    # The number of attempts is limited, because a narrow range may hold fewer than ``count`` values.
    for _ in range(1000 + 100 * count):
        if len(drawn) == count:
            break
        values = tuple(axis.at(stream.random()) for axis in axes)
        drawn.setdefault(values, dict(zip((axis.name for axis in axes), values, strict=True)))
    return list(drawn.values())


def _check_name(name: str, where: str) -> None:
    if name in NAMES:
        return
    if name in _ONE_FOR_ALL:
        raise UserError("setting-not-searchable", f"{where}: {name} cannot be searched: {_ONE_FOR_ALL[name]}")
    if name in EXECUTION_ONLY:
        raise UserError("setting-not-searchable", f"{where}: {name} cannot be searched: it changes no result")
    near = get_close_matches(name.replace("-", "_"), NAMES)
    offer = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(sorted(NAMES))}"
    raise UserError("setting-unknown", f"{where}: there is no setting {name!r} to search; {offer}")


def _range(name: str, scale: Scale, ends: Sequence[str], where: str) -> Range:
    kinds = _kinds(name)
    if not kinds & {int, float}:
        raise UserError("range-not-numeric", f"{where}: {name} is not a number; write its values as a list")
    if len(ends) != 2:
        raise UserError("range-malformed", f"{where}: a range is {scale}:LOW:HIGH")
    if scale != "int" and float not in kinds:
        raise UserError("range-not-whole", f"{where}: {name} is a whole number; write int:LOW:HIGH")
    low, high = (_end(name, end, scale, where) for end in ends)
    if low >= high:
        raise UserError("range-reversed", f"{where}: {value_text(low)} must be below {value_text(high)}")
    if scale == "log" and low <= 0:
        raise UserError("range-not-positive", f"{where}: a log range begins above 0")
    return Range(name, scale, low, high)


def _end(name: str, text: str, scale: Scale, where: str) -> float:
    value = check_value(name, text.strip(), where)
    if value is None:
        raise UserError(
            "range-end-missing", f"{where}: {name} {text}: must be a number, as an end of a range"
        )
    if scale != "int":
        return float(value)
    if value != int(value):
        raise UserError("value-not-whole", f"{where}: {name} {text}: is not a whole number")
    return int(value)


def _kinds(name: str) -> set[Any]:
    field = TrainSettings.model_fields.get(name) or SweepSettings.model_fields[name]
    annotation = field.annotation
    return set(get_args(annotation)) or {annotation}


@cache
def _rule(name: str) -> TypeAdapter[Any]:
    field = TrainSettings.model_fields[name]
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
