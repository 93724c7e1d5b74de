"""Durations in settings: a number and its unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic.fields import FieldInfo

RULE = "a number and its unit, such as 90s, 45m, 6h or 2d"
# In the JSON schema of a field whose value may be a number, too, as in what earlier versions stored.
ALSO_NUMBERS = "x-also-numbers"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(duration: str) -> float:
    """The seconds of a duration, such as 5400.0 for ``90m``."""
    return float(duration[:-1]) * _UNITS[duration[-1]]


@dataclass(frozen=True)
class _Rule:
    """Checks the spelling of a duration, and its range in seconds."""

    least: float = 1e-9
    most: float = 1e15

    def __call__(self, text: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?[smhd]", text):
            raise ValueError(f"must be {RULE}")
        if seconds_of(text) < self.least:
            raise ValueError("must be more than 0")
        if seconds_of(text) > self.most:
            raise ValueError(f"must be at most {self.most / _UNITS['d']:g}d")
        return text


@dataclass(frozen=True)
class _Formerly:
    """Gives a number without a unit the one that it had up to version 0.2."""

    unit: str

    def __call__(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        try:
            return f"{float(value):.9f}".rstrip("0").rstrip(".") + self.unit
        except (TypeError, ValueError):
            return value


_NEW = WithJsonSchema({"type": "string"})
_OLD = WithJsonSchema({"type": "string", ALSO_NUMBERS: True})

# All are written alike. :func:`seconds_of` reads them.
Duration = Annotated[str, AfterValidator(_Rule(least=0)), _NEW]
FormerlySeconds = Annotated[str, BeforeValidator(_Formerly("s")), AfterValidator(_Rule()), _OLD]
FormerlyMinutes = Annotated[str, BeforeValidator(_Formerly("m")), AfterValidator(_Rule(least=0)), _OLD]
FormerlyHours = Annotated[str, BeforeValidator(_Formerly("h")), AfterValidator(_Rule()), _OLD]
AtMostAWeek = Annotated[
    str, BeforeValidator(_Formerly("h")), AfterValidator(_Rule(most=7 * _UNITS["d"])), _OLD
]
AtMostTenMinutes = Annotated[str, BeforeValidator(_Formerly("s")), AfterValidator(_Rule(most=600)), _OLD]


def is_duration(field: FieldInfo) -> bool:
    """Whether the values of a field are durations."""
    return any(isinstance(function, _Rule) for function in _functions(field))


def with_unit(field: FieldInfo, value: Any) -> Any:
    """A value of a field as it is; a number that stands for a duration with the unit that it had."""
    for function in _functions(field):
        if isinstance(function, _Formerly) and isinstance(value, int | float):
            return function(value)
    return value


def _functions(field: FieldInfo) -> list[Any]:
    """What validates a field, also where it may be None."""
    inner = (mark for one in get_args(field.annotation) for mark in getattr(one, "__metadata__", ()))
    return [getattr(mark, "func", None) for mark in (*field.metadata, *inner)]
