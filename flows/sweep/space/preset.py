"""Presets: the reference study's experiments and a search, each in a YAML file; and users' own files of the same form.

A file holds ``settings`` (options of the sweep), ``space`` (what is searched) and ``drawn``: settings, and perhaps a
space, that take precedence if no dataset is named. They make a sweep over drawn faces take minutes on two cores.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.errors import UserError
from flows.settings import SweepSettings
from flows.settings.sweep import PresetName
from flows.storage import open_store

NAMES: tuple[str, ...] = get_args(PresetName)

# Files of settings that presets share: all experiments of the reference study; all presets, for drawn faces; and those
# of them that start from scratch.
REPORT, DRAWN, DRAWN_FRESH = "_report", "_drawn", "_drawn_fresh"
_NOT_IN_A_FILE = frozenset({"preset", "space", "space_file", "destination", "dry_run"})
_MOST_BYTES = 2**20


class Layer(BaseModel):
    """Settings of a sweep, and what it searches. Both may be empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: dict[str, Any] = {}
    space: dict[str, Any] | None = None


class Preset(Layer):
    """The content of a file."""

    drawn: Layer = Layer()


class _Loader(yaml.SafeLoader):
    """YAML in which a repeated key is an error. Usually the last one wins, and the others are lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping, if its keys are all different."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} comes twice", problem_mark=key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_preset(name: str) -> Preset:
    """Read one of the package's presets."""
    return _parse(_text(name), f"--preset {name}")


def read_shared(name: str) -> Layer:
    """Read settings that presets share, unless one of them has others."""
    return Layer(settings=yaml.safe_load(_text(name)))


def read_space_file(url: str) -> Preset:
    """Read a user's file, in YAML or JSON.

    Raises:
        UserError: it is missing, or not of this form.
    """
    where = f"--space-file {url}"
    folder, _, name = url.rpartition("/")
    if not name or folder == "s3:/":
        raise UserError("file-name-missing", f"{where}: must name one YAML or JSON file")
    store = open_store(folder or "/", option="--space-file")
    store.check()
    try:
        data = store.get(name).data
    except FileNotFoundError:
        raise UserError("file-missing", f"{where}: there is no such file") from None
    if len(data) > _MOST_BYTES:
        raise UserError(
            "file-too-large",
            f"{where}: has {len(data):,} bytes; a space is described in fewer than {_MOST_BYTES:,}",
        )
    return _parse(data, where)


def _text(name: str) -> bytes:
    return files("flows.sweep").joinpath("presets", f"{name}.yaml").read_bytes()


def _parse(text: bytes, where: str) -> Preset:
    try:
        # _Loader is a SafeLoader.
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            "space-file-unreadable", f"{where}: is neither YAML nor JSON: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(content, dict):
        raise UserError("space-file-malformed", f"{where}: must hold settings, space or drawn")
    for name in content:
        if name not in Preset.model_fields:
            raise UserError(
                "space-file-malformed",
                f"{where}: {name}: a file holds only settings, space and drawn",
            )
    # A heading without content is None.
    content = {name: {} if value is None else value for name, value in content.items()}
    try:
        preset = Preset.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(
            "space-file-malformed", f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    for layer in (preset, preset.drawn):
        for name in layer.settings:
            if name in _NOT_IN_A_FILE or name not in SweepSettings.model_fields:
                what = "belongs on the command line" if name in _NOT_IN_A_FILE else "is no option of a sweep"
                raise UserError("setting-not-in-file", f"{where}: settings.{name}: {what}")
    return preset
