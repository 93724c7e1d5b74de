"""A bucket as nobody wants it: hundreds of good images among hundreds of damaged, odd and malicious files.

The oracle is the decoder, asked in a process of its own: a damaged file may still be a good image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attgan.data import codec
from attgan.data.codec.provenance import read_mark
from attgan.data.transforms import face_box
from flows.edit.flow import edit
from flows.edit.ledger import finished_shards, read_rows
from flows.runtime.running import run_from_terminal
from flows.settings import EditSettings, InitSettings
from flows.storage import Store, join, open_store
from flows.training.weights import init
from tests.faults.hostile.handmade import bombs, no_images, odd_images
from tests.faults.hostile.mutations import mutants
from tests.faults.hostile.verdicts import Verdict, verdicts
from tests.support.images.pictures import noise, saved

pytestmark = pytest.mark.stack

GOOD, DAMAGED = 300, 120
MAX_BYTES, MAX_PIXELS = 8 * 2**20, 4_000_000
# Decoders, two to a worker, each at its worst; and what edits hold on their way (see the tests of the stages).
ROOM_MB = 2 * (28 * MAX_PIXELS + 6 * MAX_BYTES) // 10**6 + 300
THREADS = 16


def good_ones() -> dict[str, bytes]:
    """By key: every format, with their own extension, another one, an upper-case one and none."""
    found = {}
    for i in range(GOOD):
        format = list(codec.FORMATS)[i % 6]
        picture = Image.fromarray(noise(i, 64, 64))
        if i % 5 == 0 and format != "WEBP":
            picture = picture.convert("L")
        extension = (f".{format.lower()}", f".{format}", "", ".jpg")[i // 6 % 4]
        found[f"{i // 100}/good/{i:04d}{extension}"] = saved(picture, format)
    return found


def hostile_ones() -> dict[str, bytes]:
    """By key, some of which are odd too, among the good ones; AVIF, which is not planned, is called JPEG."""
    files = [
        (f"{folder}/{name}.jpg" if name.endswith(".avif") else f"{folder}/{name}", data)
        for folder, made in (
            ("no image", no_images()),
            ("odd\tones", odd_images()),
            ("bömbs", bombs()),
            ("damaged%2F+#?", mutants(DAMAGED)),
        )
        for name, data in made.items()
    ]
    return {f"{i % 10}/{key}": data for i, (key, data) in enumerate(files)}


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> str:
    """The URL of an empty bucket with a small bundle."""
    name = fresh_bucket()
    init(InitSettings(destination=f"s3://{name}/bundle", image_size=64, width=4))
    return f"s3://{name}"


def put_all(bucket: str, folder: str, files: dict[str, bytes]) -> None:
    store = open_store(join(bucket, folder))
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda item: store.put(*item), files.items()))


def run(bucket: str, source: str, destination: str) -> dict[str, Any]:
    settings = EditSettings.model_validate(
        {
            "source": join(bucket, source),
            "destination": join(bucket, destination),
            "bundle": join(bucket, "bundle"),
            "faces": "aligned",
            "paste": "whole",
            "on_present": "edit",
            "max_bytes": MAX_BYTES,
            "max_pixels": MAX_PIXELS,
            "max_failed_share": 0.5,
            "shard_size": 200,
        }
    )
    report: dict[str, Any] = run_from_terminal(edit, settings=settings)
    return report


def rows_of(store: Store) -> dict[str, dict[str, Any]]:
    rows = [row for key in finished_shards(store).values() for row in read_rows(store, key).to_pylist()]
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row for row in rows}


def fate(verdict: Verdict) -> tuple[str, str | None, str | None]:
    """Status, stage and reason that a verdict leads to; the reason of a skip is the flow's own."""
    assert verdict.kind in ("image", "DataError"), verdict
    if verdict.kind == "DataError":
        return "failed", verdict.stage, verdict.reason
    if face_box(verdict.width, verdict.height) is None:
        return "skipped", "find", None
    return "edited", None, None


def test_the_good_are_edited_the_bad_are_listed_and_nothing_dies(bucket: str) -> None:
    good, hostile = good_ones(), hostile_ones()
    assert len(good) == GOOD
    assert len(hostile) >= DAMAGED
    put_all(bucket, "calm", dict(list(good.items())[:60]))
    put_all(bucket, "in", {**good, **hostile})
    judged, _ = verdicts(hostile, limits=(MAX_BYTES, MAX_PIXELS))
    wanted = dict.fromkeys(good, ("edited", None, None)) | {
        key: fate(verdict) for key, verdict in judged.items()
    }

    calm = run(bucket, "calm", "calm-out")
    report = run(bucket, "in", "out")

    statuses = Counter(status for status, *_ in wanted.values())
    assert report["inputs"] == len(wanted)
    assert report["counts"] == {"copied": 0, **statuses}
    assert statuses["failed"] > DAMAGED // 2, "the bad ones are many"
    assert statuses["edited"] > GOOD, "some that are damaged are good"
    assert not report["ignored"]
    store = open_store(join(bucket, "out", "_runs", report["run_id"]))
    rows = rows_of(store)
    got = {
        key: (row["status"], row["stage"], row["reason"] if row["status"] == "failed" else None)
        for key, row in rows.items()
    }
    assert {key: (got.get(key), fate) for key, fate in wanted.items() if got.get(key) != fate} == {}
    assert got.keys() == wanted.keys()

    # A shard whose worker died is done again, and finds what it had put, or is done image by image.
    assert report["shards_isolated"] == 0
    assert report["found"] == 0
    assert {row["attempts"] for row in rows.values()} == {1}
    assert report["peak_mb"] < calm["peak_mb"] + ROOM_MB

    written = open_store(join(bucket, "out"))
    keys = {info.key for info in written.list() if not info.key.startswith("_")}
    assert keys == {key for key, (status, *_) in wanted.items() if status == "edited"}
    for key in list(good)[:: GOOD // 60]:
        data = written.get(key).data
        image = codec.decode(data)
        before = codec.decode(good[key])
        assert image.format == before.format
        assert image.grey == before.grey
        assert np.abs(image.pixels.astype(int) - before.pixels).mean() > 5, "edited"
        assert (read_mark(data) is not None) == (image.format not in ("GIF", "BMP"))
