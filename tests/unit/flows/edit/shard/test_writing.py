"""Outputs are what their inputs were, say what made them, and the ledger says what was lost on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attgan.attributes import CELEBA
from attgan.data import codec
from attgan.data.codec.provenance import Provenance, read_mark
from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from tests.support.images.metadata_samples import CITY, PHOTOSHOP, PLACE, SECONDS, THUMBNAIL, exif, xmp
from tests.support.images.pictures import noise, opened, saved
from tests.support.images.raw_images import segment, wide_png, with_segments

MakeSettings = Callable[..., EditSettings]


def edited(settings: EditSettings) -> tuple[PreparedRun, dict[str, dict[str, Any]]]:
    """The one shard's rows by key."""
    prepared = prepare(resolve(settings))
    assert prepared.run.shards == 1
    edit_shard(prepared.run.url, 0, settings)
    (key,) = finished_shards(prepared.store).values()
    return prepared, {row["key"]: row for row in read_rows(prepared.store, key).to_pylist()}


def test_an_edited_image_says_what_made_it(tmp_path: Path, settings: MakeSettings) -> None:
    for format in codec.FORMATS:
        (tmp_path / "in" / f"face.{format.lower()}").write_bytes(saved(noise(0), format))
    prepared, rows = edited(settings(set=["Eyeglasses=1@0.8", "Bald=0"], intensity=1.2))
    assert {row["status"] for row in rows.values()} == {"edited"}
    made = prepared.run.made_of
    for format in codec.FORMATS:
        mark = read_mark((tmp_path / "out" / f"face.{format.lower()}").read_bytes())
        if format not in ("JPEG", "PNG", "WEBP", "TIFF"):
            assert mark is None
            continue
        assert mark == Provenance(made["software"], made["bundle"], prepared.run.edits_text)
        assert mark.software.startswith("attgan ")
        assert "Eyeglasses=1@0.8" in mark.edits
        assert "Bald=0" in mark.edits


def test_a_grey_image_stays_grey_and_a_deep_one_deep(tmp_path: Path, settings: MakeSettings) -> None:
    grey = noise(1)[..., 0]
    files = {
        "grey.png": saved(Image.fromarray(grey), "PNG"),
        "grey.jpg": saved(Image.fromarray(grey)),
        "deep.png": wide_png(np.repeat(grey[..., None].astype(np.uint16) * 257, 3, axis=2)),
        "deep-grey.tif": saved(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"),
    }
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    _, rows = edited(settings())
    for name in files:
        written = (tmp_path / "out" / name).read_bytes()
        assert opened(written).ndim == (3 if name == "deep.png" else 2)
        assert b"\x10" in written[24:25] or opened(written).dtype == (
            np.uint16 if "deep" in name else np.uint8
        )
        assert rows[name]["notes"] is None


def photograph() -> bytes:
    """A JPEG with EXIF, XMP and IPTC, and with a place in each."""
    return with_segments(
        saved(noise(4), quality=80),
        segment(0xE1, b"Exif\0\0" + exif(">", 3)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp()),
        segment(0xED, b"Photoshop 3.0\0" + PHOTOSHOP),
    )


TRACES = (PLACE, CITY, SECONDS.to_bytes(4))


@pytest.mark.parametrize("metadata", ["keep", "no-location", "none"])
@pytest.mark.parametrize("present", [False, True], ids=["edited", "copied"])
def test_a_photograph_says_what_it_said(
    tmp_path: Path, settings: MakeSettings, metadata: str, present: bool
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(photograph())
    (tmp_path / "labels").mkdir()
    values = " ".join(["1" if present else "-1"] * 40)
    (tmp_path / "labels" / "list_attr_celeba.txt").write_text(f"1\n{' '.join(CELEBA)}\na.jpg {values}\n")
    _, rows = edited(settings(metadata=metadata, labels=str(tmp_path / "labels")))
    assert rows["a.jpg"]["status"] == ("copied" if present else "edited")
    assert rows["a.jpg"]["notes"] is None
    written = (tmp_path / "out" / "a.jpg").read_bytes()
    assert codec.decode(written).orientation == 3
    assert (b"Copyright of somebody" in written) == (metadata != "none")
    assert all((trace in written) == (metadata == "keep") for trace in TRACES)
    assert (read_mark(written) is None) == present
    if present and metadata == "keep":
        assert written == photograph()
    else:
        assert THUMBNAIL[:40] not in written


@pytest.mark.parametrize(("format", "noted"), [("jpeg", True), ("webp", False), ("keep", False)])
def test_transparency_that_a_format_cannot_hold_is_noted(
    tmp_path: Path, settings: MakeSettings, format: str, noted: bool
) -> None:
    picture = Image.fromarray(noise(2))
    picture.putalpha(Image.fromarray(noise(3)[..., 0]))
    (tmp_path / "in" / "clear.png").write_bytes(saved(picture, "PNG"))
    _, rows = edited(settings(format=format))
    row = rows["clear.png"]
    assert row["notes"] == ("transparency to white" if noted else None)
    assert opened((tmp_path / "out" / row["output_key"]).read_bytes()).shape[2] == (3 if noted else 4)
