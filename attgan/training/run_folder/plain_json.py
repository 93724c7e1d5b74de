"""Strict JSON: numbers that are not finite become null, since JSON cannot express them."""

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value with null for each number that is not finite, in mappings and lists too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def to_json(value: Any, indent: int | None = None) -> bytes:
    """The value, made plain, as one JSON text with a line feed."""
    return (json.dumps(plain(value), indent=indent, allow_nan=False) + "\n").encode()
