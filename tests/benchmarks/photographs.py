"""Photographs S3 to S3 with the shipped bundle, stage by stage, beside the same faces cut out, which need no finding.

    python -m infra run --free-ports -- python -m tests.benchmarks.photographs --images 256 --photographs FOLDER

Without a folder the photographs are drawn faces on a plain ground, which is kind to the finder.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attgan.data import codec
from attgan.data.codec import Decoded
from attgan.detection import make_mtcnn
from attgan.editing.face_selection import find_places
from attgan.editing.placement import Pixels, take_face
from attgan.errors import DataError
from flows.bench.faces import put_files
from flows.edit.flow import edit
from flows.runtime.running import run_from_terminal
from flows.settings import EditSettings
from flows.storage import join, open_store
from tests.benchmarks.finding import crowd
from tests.benchmarks.table import Row, show

# Of CelebA's aligned square.
SIDE = 170
# The number of different drawn photographs.
DRAWN = 32


def measure(bucket: str, photographs: Iterable[bytes], images: int, shard_size: int) -> Iterator[Row]:
    """Rows for the photographs and for their largest faces; both are edited twice, the second time by warm workers."""
    kept, faces = _with_a_face(photographs)
    for name, files in (("photographs", kept), ("faces", faces)):
        put_files(open_store(join(bucket, name)), list(itertools.islice(itertools.cycle(files), images)))
    reports = {}
    for source in ("faces", "photographs"):
        for attempt in range(2):
            settings = EditSettings(
                source=join(bucket, source),
                destination=join(bucket, f"{source}-edited-{attempt}"),
                faces="aligned" if source == "faces" else "largest",
                on_present="edit",
                shard_size=shard_size,
            )
            reports[source] = run_from_terminal(edit, settings=settings)
    alone = _rate(reports["faces"])
    yield Row("their faces, cut out and aligned", alone, peak_mb=reports["faces"]["peak_mb"])
    found = reports["photographs"]
    yield Row("photographs", _rate(found), "img/s", "without finding", alone, found["peak_mb"])
    for stage in found["seconds"]:
        here, there = (
            1000 * reports[source]["seconds"][stage] / images for source in ("photographs", "faces")
        )
        yield Row(f"{stage}, a photograph", here, "ms busy", "a face", there)


def _rate(report: dict[str, Any]) -> float:
    return float(report["counts"]["edited"] / report["wall"])


def _with_a_face(photographs: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Those in which a face is found, and the largest face of each."""
    detector = make_mtcnn()
    kept, faces = [], []
    for data in photographs:
        try:
            pixels = codec.decode(data).pixels
        except DataError:
            continue
        (places,) = find_places([pixels], detector, "largest")
        assert not isinstance(places, DataError)
        for _, placement in places:
            kept.append(data)
            faces.append(_jpeg(take_face(pixels, placement, SIDE)))
    return kept, faces


def _jpeg(pixels: Pixels) -> bytes:
    return codec.encode(Decoded(np.ascontiguousarray(pixels), "JPEG"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--shard-size", type=int, default=64)
    parser.add_argument("--photographs", help="a folder of them")
    asked = parser.parse_args()
    if asked.photographs:
        files = [path.read_bytes() for path in sorted(Path(asked.photographs).iterdir())]
    else:
        files = [_jpeg(crowd(1024, 768, 1 + number % 3)) for number in range(DRAWN)]
    bucket = f"s3://photographs-{secrets.token_hex(4)}"
    open_store(bucket).make_bucket()
    rows = list(measure(bucket, files, asked.images, asked.shard_size))
    show(f"{asked.images} photographs, S3 to S3, with the shipped bundle", rows)


if __name__ == "__main__":
    main()
