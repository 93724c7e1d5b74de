import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from attgan.data.manifest import (
    AttributeShare,
    Counts,
    Manifest,
    PartEntry,
    Unreadable,
    from_bytes,
    read_manifest,
    to_bytes,
)
from attgan.data.stored import storage
from attgan.data.subsets import parse_subset
from tests.support.refusals import refused

MANIFEST = Manifest(
    plan="a" * 64,
    subset=parse_subset("eyeglasses-extended", partitions=["train"]),
    seed=3,
    counts=Counts(labelled=30, eligible=25, at_hand=20, not_at_hand=5, chosen=10, unreadable=1, rows=9),
    images=storage("original", 170),
    identity=False,
    attributes=(AttributeShare(name="Young", rows=6, share=6 / 9),),
    unreadable=(Unreadable(image_id="000007.jpg", reason="decode: the file is empty (0 bytes)"),),
    parts=(
        PartEntry(name="part-00000.parquet", rows=5, bytes=100, sha256="b" * 64),
        PartEntry(name="part-00001.parquet", rows=4, bytes=80, sha256="c" * 64),
    ),
)


def changed(**changes: Any) -> bytes:
    """The manifest's text with some values replaced; ``a__b`` is the key ``b`` within ``a``."""
    content = json.loads(to_bytes(MANIFEST))
    for path, value in changes.items():
        *outer, last = path.split("__")
        place = content
        for key in outer:
            place = place[key]
        place[last] = value
    return json.dumps(content).encode()


def test_what_is_written_is_read_back_and_always_the_same_bytes() -> None:
    data = to_bytes(MANIFEST)
    assert from_bytes(data, "there") == MANIFEST
    assert to_bytes(from_bytes(data, "there")) == data


@pytest.mark.parametrize("end", [0, 100])
def test_a_truncated_manifest_is_refused(end: int) -> None:
    with refused("manifest-invalid"):
        from_bytes(to_bytes(MANIFEST)[:end], "there")


@pytest.mark.parametrize("data", [b"{}", b'{"kind": "something else", "schema_version": 1}'])
def test_foreign_json_is_refused(data: bytes) -> None:
    with refused("manifest-invalid"):
        from_bytes(data, "there")


def test_a_newer_schema_is_refused_as_newer() -> None:
    with refused("manifest-version", "2", "1"):
        from_bytes(changed(schema_version=2, novelty="x"), "there")
    with refused("manifest-version"):
        from_bytes(changed(schema_version="1"), "there")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"surprise": 1}, "surprise"),
        ({"seed": "x"}, "seed"),
        ({"counts__at_hand": 19}, "counts.at_hand"),
        ({"parts": []}, "counts.rows"),
    ],
)
def test_a_manifest_at_odds_with_itself_is_refused(changes: dict[str, Any], named: str) -> None:
    with refused("manifest-invalid", f"there: {named}"):
        from_bytes(changed(**changes), "there")


@pytest.mark.parametrize("name", ["../part-00000.parquet", "/part-00000.parquet"])
def test_a_part_cannot_point_elsewhere(name: str) -> None:
    part = MANIFEST.parts[0].model_dump() | {"name": name}
    with refused("manifest-invalid"):
        from_bytes(changed(parts=[part, MANIFEST.parts[1].model_dump()]), "there")


def test_a_folder_without_a_manifest_is_no_data_set(tmp_path: Path) -> None:
    local = fs.LocalFileSystem()
    with refused("manifest-missing", "manifest.json"):
        read_manifest(local, str(tmp_path))
    (tmp_path / "manifest.json").write_bytes(to_bytes(MANIFEST))
    assert read_manifest(local, str(tmp_path)) == MANIFEST
    assert read_manifest(fs.SubTreeFileSystem(str(tmp_path), local), "") == MANIFEST
