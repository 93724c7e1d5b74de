"""A dataset's manifest: what is in it, how it was drawn and stored, and each part's digest.

It is written last: a folder without a manifest is not a dataset. Its text depends on the content alone, so it holds no
date, machine or source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pyarrow import fs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from attgan.data.stored import Storage
from attgan.data.subsets import Subset
from attgan.errors import UserError

MANIFEST = "manifest.json"
KIND: Final = "attgan dataset"
SCHEMA = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(_Model):
    """How many rows there were at each step. The names are part of the file format.

    Attributes:
        labelled: rows of the label files.
        eligible: labelled rows in the requested partitions.
        at_hand: eligible rows whose image file is available; rows are drawn from these.
        not_at_hand: eligible rows whose image file is missing.
        chosen: rows that were drawn.
        unreadable: chosen images that do not open or do not fit.
        rows: chosen less unreadable: the rows of the parts.
    """

    labelled: int = Field(ge=0)
    eligible: int = Field(ge=0)
    at_hand: int = Field(ge=0)
    not_at_hand: int = Field(ge=0)
    chosen: int = Field(ge=0)
    unreadable: int = Field(ge=0)
    rows: int = Field(ge=0)


class Unreadable(_Model):
    """An image that was drawn and left out."""

    image_id: str
    reason: str


class AttributeShare(_Model):
    """How many of the stored rows have an attribute."""

    name: str
    rows: int
    share: float


class PartEntry(_Model):
    """One Parquet file: its name in the manifest's folder, and what its content is checked against."""

    name: str = Field(pattern=r"^part-\d{5,}\.parquet$")
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(_Model):
    """The manifest.

    Attributes:
        schema_version: of this file and the parts' columns.
        plan: digest of everything that determines the parts' content. All parts of a dataset have the same.
        attributes: by descending share; those that are known for all rows.
    """

    kind: Literal["attgan dataset"] = KIND
    schema_version: int = SCHEMA
    plan: str = Field(pattern=r"^[0-9a-f]{64}$")
    subset: Subset
    seed: int
    counts: Counts
    images: Storage
    identity: bool
    attributes: tuple[AttributeShare, ...]
    unreadable: tuple[Unreadable, ...]
    parts: tuple[PartEntry, ...]


def part_name(index: int) -> str:
    """``part-00000.parquet`` for 0."""
    return f"part-{index:05d}.parquet"


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest's text: equal manifests give equal bytes."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def from_bytes(data: bytes, where: str) -> Manifest:
    """Check and read a manifest's text; ``where`` names it in errors.

    Raises:
        UserError: it is truncated, not a manifest of ours, made by a newer version, or contradicts itself.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise UserError("manifest-invalid", f"{where}: is not JSON, or is truncated ({error})") from error
    if not isinstance(content, Mapping) or content.get("kind") != KIND:
        raise UserError("manifest-invalid", f'{where}: is not a manifest of ours ("kind" must be "{KIND}")')
    version = content.get("schema_version")
    if version != SCHEMA:
        newer = isinstance(version, int) and version > SCHEMA
        hint = "a newer version of attgan made it" if newer else "make the dataset again"
        raise UserError(
            "manifest-version", f"{where}: schema_version is {version!r}, this version reads {SCHEMA}; {hint}"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        place = ".".join(map(str, mistake["loc"]))
        raise UserError("manifest-invalid", f"{where}: {place}: {mistake['msg']}") from error
    _check_sums(manifest, where)
    return manifest


def read_manifest(filesystem: fs.FileSystem, folder: str) -> Manifest:
    """Read the manifest of the dataset in ``folder``.

    Raises:
        UserError: there is none, or :func:`from_bytes` refuses it.
    """
    path = f"{folder.rstrip('/')}/{MANIFEST}" if folder else MANIFEST
    if not filesystem.get_file_info(path).is_file:
        raise UserError(
            "manifest-missing", f"{path}: is not there; a dataset that `attgan subset` has finished has one"
        )
    with filesystem.open_input_stream(path, compression=None) as stream:
        return from_bytes(stream.read(), path)


def _check_sums(manifest: Manifest, where: str) -> None:
    counts = manifest.counts
    names: Sequence[str] = [part.name for part in manifest.parts]
    at_hand = counts.eligible - counts.not_at_hand
    stored = sum(part.rows for part in manifest.parts)
    rules = {
        "counts.at_hand is not counts.eligible less counts.not_at_hand": counts.at_hand == at_hand,
        "counts.rows is not counts.chosen less counts.unreadable": (
            counts.rows == counts.chosen - counts.unreadable
        ),
        "counts.unreadable is not the length of unreadable": counts.unreadable == len(manifest.unreadable),
        "counts.rows is not the sum of the parts' rows": counts.rows == stored,
        "the parts are not numbered in order": names == [part_name(i) for i in range(len(names))],
    }
    for broken, holds in rules.items():
        if not holds:
            raise UserError("manifest-invalid", f"{where}: {broken}")
