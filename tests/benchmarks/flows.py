"""The subset and edit flows from end to end, beside the ceilings of their stages in the same run.

The S3 server, the codec and the model share this machine's cores, so their ceiling is what they reach one after the
other: 1 / Σ (1 / stage).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from attgan.data import codec
from attgan.data.stored import pack_image
from attgan.data.synthetic import write_celeba
from attgan.data.transforms import face_box, put_face, take_face
from attgan.editing.editor import make_editor
from attgan.models import Generator, GeneratorConfig, fresh
from flows.edit.flow import edit
from flows.running import run_from_terminal
from flows.settings import EditSettings, InitSettings, SubsetSettings
from flows.storage import open_store
from flows.subset import subset
from flows.weights import init
from tests.benchmarks.faces import drawn_faces
from tests.benchmarks.memory import workers_peak
from tests.benchmarks.storage import fill
from tests.benchmarks.table import Row, rate

BATCH = EditSettings.model_fields["batch_size"].default


def measure(bucket: str, storage: dict[str, float], images: int = 3000) -> Iterator[Row]:
    """Rows for both flows.

    Args:
        bucket: an empty one, as a URL.
        storage: GET and PUT per second, measured before.
        images: how many.
    """
    cores = os.cpu_count() or 1
    fill(open_store(f"{bucket}/in"), images)
    both = [storage["GET"], storage["PUT"]]
    workers = "cold workers"
    for name, config, runs in (
        ("almost no model (width 2, 64 px)", GeneratorConfig(width=2, image_size=64), 2),
        ("width 16", GeneratorConfig(width=16), 1),
    ):
        bundle = f"{bucket}/bundle-{config.width}"
        init(InitSettings(destination=bundle, width=config.width, image_size=config.image_size))
        stages = [*both, cores * _codec_rate(config.image_size), _generator_rate(config, cores)]
        for run in range(runs):
            settings = EditSettings(
                source=f"{bucket}/in",
                destination=f"{bucket}/out-{config.width}-{run}",
                bundle=bundle,
                shard_size=500,
            )
            with workers_peak("edit-shard") as peak:
                report = run_from_terminal(edit, settings=settings)
            yield _row(f"edit, {name}, whole flow", images / report["wall"], stages, peak.mb, workers)
            workers = "warm workers"
        slowest = report["slowest_shards"]
        busy = sum(shard["seconds"] for shard in slowest) / len(slowest)
        steady = min(cores, report["shards"]) * min(settings.shard_size, images) / busy
        note = f"warm workers, mean of the {len(slowest)} slowest"
        yield _row(f"edit, {name}, within shards", steady, stages, report["peak_mb"], note)
    yield from _subset(bucket, storage, images, cores)


def _subset(bucket: str, storage: dict[str, float], images: int, cores: int) -> Iterator[Row]:
    filesystem, path = open_store(f"{bucket}/celeba").filesystem()
    write_celeba(path, images, filesystem=filesystem)
    stages = [storage["GET"], cores * _pack_rate()]
    for run, workers in enumerate(("first subset, workers warm from edits", "warm workers")):
        settings = SubsetSettings(
            source=f"{bucket}/celeba",
            destination=f"{bucket}/dataset-{run}",
            subset="all",
            rows_per_part=500,
        )
        with workers_peak("subset-part") as peak:
            result = run_from_terminal(subset, settings=settings)
        yield _row("subset, all, whole flow", images / result["seconds"], stages, peak.mb, workers)


def _row(what: str, measured: float, stages: Sequence[float], peak: float | None, note: str) -> Row:
    ceiling = 1 / sum(1 / stage for stage in stages)
    return Row(what, measured, "img/s", "its stages together", ceiling, peak, note)


def _codec_rate(size: int) -> float:
    """Decode, take the face out, put it back, encode: images per second and core."""
    torch.set_num_threads(1)
    files = drawn_faces(256)
    box = face_box(178, 218)
    assert box is not None

    def work() -> None:
        for data in files:
            image = codec.decode(data)
            face = take_face(image.pixels, box, size)
            codec.encode(image.with_pixels(put_face(image.pixels, box, face)))

    return rate(work, len(files))


def _pack_rate() -> float:
    """What a part does to each image by default: decode it to know that it opens, and keep its bytes."""
    files = drawn_faces(256)
    return rate(lambda: [pack_image(data, "original", 128) for data in files], len(files))


def _generator_rate(config: GeneratorConfig, cores: int) -> float:
    torch.set_num_threads(cores)
    editor = make_editor(fresh(Generator, config, seed=0), "cpu", BATCH)
    faces = np.zeros((BATCH, config.image_size, config.image_size, 3), dtype=np.uint8)
    targets = np.zeros((BATCH, config.n_attributes), dtype=np.float32)
    return rate(lambda: editor.edit(faces, targets), BATCH, repeats=9)
