"""S3 to S3, from the first key to the report, beside what the machine allows and beside the usual loop.

    python -m infra run --free-ports -- python -m tests.benchmarks.end_to_end --images 20000 --full 512 --naive 300

With ``--folder`` the images of a folder are edited too, as often as it takes. Each flow runs twice: as a command of its
own, with all of its start and that of its workers, and on workers that are warm from measuring the ceilings a moment
before. Each worker has two shards to do.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from flows.bench.bench import Result, run_bench
from flows.bench.faces import fill
from flows.bench.together import combined
from flows.settings import BenchSettings, InitSettings
from flows.storage import join, open_store
from flows.storage.bundles import open_bundle
from flows.training.weights import init
from tests.benchmarks.naive import edit_one_by_one
from tests.benchmarks.table import Row, show

SMALL, FULL = "almost no model (width 2, 64 px)", "full width (64, 128 px)"
USUAL = "the usual loop"


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """All rows."""
    bucket = f"s3://end-to-end-{secrets.token_hex(4)}"
    open_store(bucket).make_bucket()
    fill(open_store(f"{bucket}/drawn"), asked.images)
    sources = ["drawn"]
    if asked.folder:
        _upload(Path(asked.folder), f"{bucket}/real", asked.images)
        sources.append("real")
    small, full = f"{bucket}/small", f"{bucket}/full"
    init(InitSettings(destination=small, width=2, image_size=64))
    init(InitSettings(destination=full, width=64))
    for source in sources:
        usual = _usual(bucket, source, small, asked.naive)
        yield from _flow(f"{source}, {SMALL}", asked.paste, bucket, source, small, asked.images, usual)
    usual = _usual(bucket, "drawn", full, asked.naive)
    yield from _flow(f"drawn, {FULL}", asked.paste, bucket, "drawn", full, asked.full, usual)


def _flow(
    name: str, paste: str, bucket: str, source: str, bundle: str, images: int, usual: float
) -> Iterator[Row]:
    shard_size = -(-images // (2 * (os.cpu_count() or 1)))
    cold = _cold(paste, bucket, source, bundle, images, shard_size)
    result = run_bench(
        BenchSettings(
            bundle=bundle,
            source=join(bucket, source),
            destination=bucket,
            images=images,
            shard_size=shard_size,
            stage_time="5s",
            paste=paste,
        )
    )
    for ceiling in result.ceilings:
        yield Row(f"{name}: {ceiling.stage} alone", ceiling.rate)
    against, ceiling_rate = _ceiling(result)
    reached = result.reached
    for what, seconds in (
        ("the flow within its shards", reached.shards),
        ("the whole flow, warm workers", reached.whole),
        ("the whole command, cold workers", cold),
    ):
        row = Row(f"{name}: {what}", images / seconds, "img/s", against, ceiling_rate, reached.peak_mb)
        yield replace(row, note=f"{images:,} images in {seconds:,.1f} s")
    yield Row(f"{name}: the whole command, cold workers", images / cold, "img/s", USUAL, usual)


def _ceiling(result: Result) -> tuple[str, float]:
    """The generator alone where it takes nine tenths of an image's time, otherwise all stages together."""
    together = combined(result.ceilings)
    (generator,) = (ceiling.rate for ceiling in result.ceilings if ceiling.stage == "generator")
    return (
        ("the generator alone", generator)
        if together / generator > 0.9
        else ("its stages together", together)
    )


def _cold(paste: str, bucket: str, source: str, bundle: str, images: int, shard_size: int) -> float:
    """Seconds of a flow that is run as a command: its driver and its workers are new."""
    destination = f"{bucket}/cold-{secrets.token_hex(4)}"
    options = {
        "source": join(bucket, source),
        "destination": destination,
        "bundle": bundle,
        "limit": images,
        "shard-size": shard_size,
        "faces": "aligned",
        "paste": paste,
        "on-present": "edit",
    }
    command = [sys.executable, "-P", "-m", "flows.cli", "edit"]
    begun = time.monotonic()
    subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - begun


def _usual(bucket: str, source: str, bundle: str, images: int) -> float:
    keys = [f"{number:07d}.jpg" for number in range(images)]
    loaded = open_bundle(bundle, with_discriminator=False)
    return edit_one_by_one(bucket.removeprefix("s3://"), source, "usual", keys, loaded)


def _upload(folder: Path, url: str, images: int) -> None:
    """The folder's images under as many keys as are asked for."""
    files = [path.read_bytes() for path in sorted(folder.iterdir())[:images]]
    store = open_store(url)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda n: store.put(f"{n:07d}.jpg", files[n % len(files)]), range(images)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000, help="with almost no model")
    parser.add_argument("--full", type=int, default=512, help="with the full-width one: whole batches")
    parser.add_argument("--naive", type=int, default=300, help="one by one")
    parser.add_argument("--folder", help="of aligned images, to edit besides drawn ones")
    parser.add_argument(
        "--paste",
        choices=("whole", "difference"),
        default="whole",
        help="the usual loop pastes the whole face",
    )
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    rows = list(measure(asked))
    show(f"S3 to S3 on {os.cpu_count()} cores that the S3 server shares; load before {load:.1f}", rows)


if __name__ == "__main__":
    main()
