"""The subset and edit flows from end to end, beside the ceilings of their stages in the same run.

The S3 server, the codec and the model share this machine's cores, so their ceiling is what they reach one after the
other: 1 / Σ (1 / stage).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from attgan.data.stored import pack_image
from attgan.drawn_faces import write_celeba
from attgan.models import GeneratorConfig
from flows.bench.bench import run_bench
from flows.bench.faces import drawn_faces
from flows.bench.together import Ceiling, combined
from flows.dataset.subset import subset
from flows.runtime.running import run_from_terminal
from flows.settings import BenchSettings, InitSettings, SubsetSettings
from flows.storage import open_store
from flows.training.weights import init
from tests.benchmarks.memory import workers_peak
from tests.benchmarks.table import Row, rate

AGAINST = "its stages together"


def measure(bucket: str, images: int = 3000) -> Iterator[Row]:
    """Rows for both flows, on workers that are warm from measuring the stages.

    Args:
        bucket: an empty one, as a URL.
        images: how many.
    """
    storage: list[Ceiling] = []
    for name, config in (
        ("almost no model (width 2, 64 px)", GeneratorConfig(width=2, image_size=64)),
        ("width 16", GeneratorConfig(width=16)),
    ):
        bundle = f"{bucket}/bundle-{config.width}"
        init(InitSettings(destination=bundle, width=config.width, image_size=config.image_size))
        result = run_bench(BenchSettings(bundle=bundle, destination=bucket, images=images, paste="whole"))
        ceiling, reached = combined(result.ceilings), result.reached
        for what, seconds in (("whole flow", reached.whole), ("within shards", reached.shards)):
            yield Row(
                f"edit, {name}, {what}", reached.images / seconds, "img/s", AGAINST, ceiling, reached.peak_mb
            )
        storage = [stage for stage in result.ceilings if stage.stage == "storage, GET"]
    yield from _subset(bucket, storage, images)


def _subset(bucket: str, storage: list[Ceiling], images: int) -> Iterator[Row]:
    filesystem, path = open_store(f"{bucket}/celeba").filesystem()
    write_celeba(path, images, filesystem=filesystem)
    ceiling = combined([*storage, Ceiling("pack", (os.cpu_count() or 1) * _pack_rate())])
    for run, workers in enumerate(("first subset, workers warm from edits", "warm workers")):
        settings = SubsetSettings(
            source=f"{bucket}/celeba",
            destination=f"{bucket}/dataset-{run}",
            subset="all",
            rows_per_part=500,
        )
        with workers_peak("subset-part") as peak:
            result = run_from_terminal(subset, settings=settings)
        measured = images / result["seconds"]
        yield Row("subset, all, whole flow", measured, "img/s", AGAINST, ceiling, peak.mb, workers)


def _pack_rate() -> float:
    """What a part does to each image by default: decode it to know that it opens, and keep its bytes."""
    files = drawn_faces(256)
    return rate(lambda: [pack_image(data, "original", 128) for data in files], len(files))
