"""The order of a settings model's fields, and their groups: in the form of the Prefect UI, and in the command's help.

A form shows the common fields, and folds each group until it is opened. The parameters of a run that was started from a
form are nested accordingly: ``{"source": …, "cluster": {"batch_size": 32}}``. Flat ones, as on the command line and in
deployments of earlier versions, are accepted, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import AliasChoices, BaseModel

from flows.settings.durations import ALSO_NUMBERS, RULE, is_duration, with_unit

# Words of field names that are no plain words.
_SPELLING = {
    "gpus": "GPUs",
    "cpus": "CPUs",
    "gb": "(GiB)",
    "id": "ID",
    "d": "D",
    "adam": "Adam",
    "asha": "ASHA",
}


class FieldGroup(NamedTuple):
    """Fields that a form shows together.

    Attributes:
        key: the parameter that holds them in a form.
        title: the heading.
        about: what they are for, in one line.
        fields: their names, in order. A model that uses the group need not have all of them.
    """

    key: str
    title: str
    about: str
    fields: tuple[str, ...]


class Layout(NamedTuple):
    """The order of a model's fields.

    Attributes:
        common: the fields that come first, in no group.
        groups: all others.
        blank: whether a form shows empty fields where the default holds, so that a run knows what was chosen.
    """

    common: tuple[str, ...] = ()
    groups: tuple[FieldGroup, ...] = ()
    blank: bool = False


def complete(layout: Layout, model: type[BaseModel]) -> Layout:
    """The layout with the fields that this model has, and with a last group of those that it does not mention.

    Without any common field, all fields are common.
    """
    names = list(model.model_fields)
    if not layout.common:
        return Layout(tuple(names), (), layout.blank)
    common = tuple(name for name in layout.common if name in names)
    groups, left = [], [name for name in names if name not in common]
    for group in layout.groups:
        if fields := tuple(name for name in group.fields if name in left):
            groups.append(group._replace(fields=fields))
            left = [name for name in left if name not in fields]
    if left:
        groups.append(FieldGroup("more", "More", "All other settings.", tuple(left)))
    return Layout(common, tuple(groups), layout.blank)


def flat(values: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Parameters without groups.

    Raises:
        ValueError: a field is given twice, in its group and outside.
    """
    found = dict(values)
    for group in layout.groups:
        inner = found.pop(group.key, None)
        if inner is None:
            continue
        if not isinstance(inner, Mapping):
            raise ValueError(f"{group.key}: is a group of fields, not {inner!r}")
        if twice := found.keys() & inner.keys():
            raise ValueError(f"{min(twice)}: is given twice, also in {group.key}")
        found |= inner
    return found


def grouped(values: Mapping[str, Any], model: type[BaseModel], layout: Layout) -> dict[str, Any]:
    """Parameters as a form has them. In a group, a value that stands for the default, None, is left out."""
    present = {
        former: name
        for name, field in model.model_fields.items()
        for former in _names(name, field.validation_alias)
    }
    found = {present.get(name, name): value for name, value in flat(values, layout).items()}
    for name in found.keys() & model.model_fields.keys():
        found[name] = with_unit(model.model_fields[name], found[name])
    for group in layout.groups:
        inner = {name: found.pop(name) for name in group.fields if name in found}
        if inner := {name: value for name, value in inner.items() if value is not None}:
            found[group.key] = inner
    return found


def form(schema: dict[str, Any], model: type[BaseModel], layout: Layout) -> None:
    """Turn the JSON schema of a model into that of a form in the Prefect UI, in place.

    The UI shows fields in the order of the schema, and an ``anyOf`` as a choice. So each group is a choice between
    nothing and its fields. What is flat is accepted without being shown.
    """
    fields: dict[str, Any] = schema["properties"]
    for name, field in fields.items():
        field["title"] = title(name)
        if "description" in field:
            field["description"] = _as_form_text(field["description"])
        if is_duration(model.model_fields[name]):
            field["description"] += f" It is {RULE}."
    hidden: dict[str, Any] = {}
    for name in fields:
        names = _names(name, model.model_fields[name].validation_alias)
        hidden |= {
            f"^{one}$": _rule(fields[name]) for one in names if one != name or name not in layout.common
        }
    # A dry run is chosen for each run, so its switch may always say on or off.
    shown = {name: _simple(field, layout.blank and name != "dry_run") for name, field in fields.items()}
    common = {name: shown[name] for name in layout.common if name in shown}
    schema["properties"] = common | {
        group.key: _group(group, {name: shown[name] for name in group.fields if name in shown})
        for group in layout.groups
    }
    if hidden:
        schema["patternProperties"] = hidden
    if "description" in schema:
        schema["description"] = _as_form_text(schema["description"])


def title(name: str) -> str:
    """The label of a field: ``GPUs per shard`` for ``gpus_per_shard``."""
    words = [_SPELLING.get(word, word) for word in name.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _names(name: str, alias: Any) -> Iterator[str]:
    """The names by which a field is accepted."""
    yield name
    if isinstance(alias, AliasChoices):
        yield from (str(choice) for choice in alias.choices if choice != name)


def _group(group: FieldGroup, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": group.title,
        "description": group.about,
        # Neither alternative refuses anything, so that a wrong value is refused by its own rule below, and named.
        "anyOf": [
            {"type": "object", "title": "As usual", "properties": {}},
            {"type": "object", "title": "Change", "properties": fields},
        ],
        "patternProperties": {f"^{name}$": _rule(field) for name, field in fields.items()},
        "additionalProperties": False,
    }


def _rule(field: dict[str, Any]) -> dict[str, Any]:
    """What a field accepts, without its texts, and with what it accepts without showing it."""
    rule = {name: value for name, value in field.items() if name not in ("title", "description", "default")}
    either = rule.get("anyOf", [rule])
    return {"anyOf": [*either, {"type": "number"}]} if any(ALSO_NUMBERS in one for one in either) else rule


def _simple(field: dict[str, Any], blank: bool) -> dict[str, Any]:
    """A field as the UI shows it best.

    A field that may be null by default is an empty field, not a choice between a value and None. A switch is always on
    or off, so where the default is to stay blank, it becomes a list of both.
    """
    simple = dict(field)
    either = [one for one in simple.get("anyOf", []) if one != {"type": "null"}]
    if len(either) == 1 and simple.get("default") is None:
        simple = either[0] | {name: value for name, value in simple.items() if name != "anyOf"}
        simple.pop("default", None)
    if blank and "default" in simple:
        default = simple.pop("default")
        shown = json.dumps(default).strip('"')
        if default not in (None, []) and f"`{shown}`" not in simple["description"]:
            simple["description"] += f" Default: {shown}."
        if simple.get("type") == "boolean":
            del simple["type"]
            simple["enum"] = [True, False]
        elif len(either) == 1:
            # None is written as no value, too.
            simple = either[0] | {name: value for name, value in simple.items() if name != "anyOf"}
    return simple


def _as_form_text(text: str) -> str:
    """A help text that speaks of fields instead of options. What is said of repeated options is left out."""
    text = re.sub(r" Repeatable[^.]*\.", "", text)
    return re.sub(r"--([a-z][a-z0-9-]*)(?:=(\w+))?", _as_label, text)


def _as_label(option: re.Match[str]) -> str:
    label = title(option[1].replace("-", "_"))
    return f"“{label}: {option[2]}”" if option[2] else f"“{label}”"
