"""Encoded bytes to encoded bytes, without a network: the flow's own stages on one device, beside the usual loop.

    python -m tests.benchmarks.editing --device cuda --batch 256 --cpus 16 --processes 4
    python -m tests.benchmarks.editing --device cpu

A GPU is shared by as many processes as it takes to keep it busy, each with its part of the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from attgan.editing.stream_slots import SLOTS_PER_GPU
from flows.bench.ceilings import blank_batch, recode
from flows.bench.faces import drawn_faces
from flows.bench.rate import Rate, repeat, total
from flows.edit.job import EditJob, job_of, resolve
from flows.edit.ledger import Row as LedgerRow
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.run import EditRun
from flows.edit.shard.item import Item
from flows.edit.shard.model import editor_of
from flows.edit.shard.streaming import stream
from flows.runtime.stages import set_torch_threads
from flows.settings import EditSettings, InitSettings
from flows.storage import Fetched, open_store
from flows.storage.bundles import open_bundle
from flows.training.weights import init
from tests.benchmarks.naive import one_by_one
from tests.benchmarks.table import Row, peak_mb, rate, show

SECONDS = 5.0


class Memory:
    """A store whose objects are all one of some faces, and which forgets what is put."""

    def __init__(self, faces: tuple[bytes, ...]) -> None:
        self._faces = faces

    def get(self, key: str) -> Fetched:
        return Fetched(self._faces[int(key) % len(self._faces)], "etag", {})

    def put(self, key: str, data: bytes, **_: Any) -> str:
        return "etag"


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Rows for each stage alone, for all of them, and for the usual loop."""
    with tempfile.TemporaryDirectory() as folder:
        run = _run(Path(folder), asked)
        bundle = open_bundle(run.settings.bundle, with_discriminator=False)
        one = one_by_one(bundle, asked.device)
        usual = rate(lambda: [one(data) for data in drawn_faces(32)], 32)
        alone = {
            what: _together(asked.processes, what, run, asked)
            for what in ("generator", "decode, crop, put back, encode")
        }
        whole = _together(asked.processes, "all", run, asked)
        slowest = min(alone.values())
        cores = f"{asked.cpus * asked.processes} cores"
        yield Row("generator alone", alone["generator"])
        yield Row(f"decode, crop, put back, encode, {cores}", alone["decode, crop, put back, encode"])
        yield Row("bytes to bytes", whole, against="the generator alone", reference=alone["generator"])
        yield Row("bytes to bytes", whole, against="the slower of the two", reference=slowest)
        yield Row("bytes to bytes", whole, against="the usual loop", reference=usual, peak_mb=peak_mb())


def _run(folder: Path, asked: argparse.Namespace) -> EditRun:
    """A run's settings and model; its images are never read."""
    init(InitSettings(destination=str(folder / "bundle"), width=asked.width, image_size=asked.size))
    open_store(str(folder / "in")).put("0", drawn_faces(1)[0])
    prepared = prepare(
        resolve(
            EditSettings(
                source=str(folder / "in"),
                destination=str(folder / "out"),
                bundle=str(folder / "bundle"),
                paste="whole",  # one pass through the generator, as in the loop beside it
                batch_size=asked.batch,
                cpus_per_shard=asked.cpus,
                gpus_per_shard=1 if asked.device == "cuda" else 0,
            )
        )
    )
    assert isinstance(prepared, PreparedRun)
    return prepared.run


def _together(processes: int, what: str, run: EditRun, asked: argparse.Namespace) -> float:
    """Images per second of so many processes at once."""
    context = multiprocessing.get_context("spawn")
    begin, results = context.Barrier(processes), context.Queue()
    children = [
        context.Process(target=_child, args=(what, run, asked.images, begin, results))
        for _ in range(processes)
    ]
    for child in children:
        child.start()
    rates = [results.get(timeout=600) for _ in children]
    for child in children:
        child.join()
    return total(rates)


def _child(what: str, run: EditRun, images: int, begin: Any, results: Any) -> None:
    job = job_of(run)
    editor, cpus = editor_of(job.model), job.cpus
    faces, targets = blank_batch(editor, job.model.batch_size)
    editor.edit(faces, targets)
    begin.wait()
    if what == "generator":
        threads = SLOTS_PER_GPU if job.model.on_gpu else cpus
        results.put(repeat(lambda: len(editor.edit(faces, targets)), SECONDS, threads, _one_core))
    elif what == "all":
        results.put(_stream(job, images))
    else:
        pairs = [(data, faces[0]) for data in drawn_faces(16)]
        results.put(repeat(lambda: recode(pairs, editor.size), SECONDS, cpus, _one_core))


def _one_core() -> None:
    set_torch_threads(1)


def _stream(job: EditJob, images: int) -> Rate:
    store: Any = Memory(drawn_faces(256))
    job = replace(job, source=store, destination=store)
    rates = []
    for _ in range(2):  # the first one warms up
        items = [Item(LedgerRow(str(n), str(n), "etag"), 10_000) for n in range(images)]
        cpu, started = time.process_time(), time.perf_counter()
        stages = asyncio.run(stream(job, items))
        rates.append(Rate(images, time.perf_counter() - started, time.process_time() - cpu))
        assert all(item.row.status == "edited" for item in items)
    _say({stage.name: images / stage.seconds for stage in stages}, rates[-1])
    return rates[-1]


def _say(stages: Mapping[str, float], whole: Rate) -> None:
    busy = ", ".join(f"{name} {per_second:,.0f}" for name, per_second in stages.items())
    print(f"one process: {whole.per_second:,.0f} images/s; images per busy second: {busy}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=None, help="default: 16 on a CPU, 256 on a GPU")
    parser.add_argument("--cpus", type=int, default=None, help="of each process; default: all, shared out")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--images", type=int, default=None, help="of each process; default: 64 on a CPU, 16,384"
    )
    asked = parser.parse_args()
    on_gpu = asked.device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here")
    asked.batch = asked.batch or (256 if on_gpu else 16)
    asked.cpus = asked.cpus or max(1, (os.cpu_count() or 1) // asked.processes)
    asked.images = asked.images or (16_384 if on_gpu else 64)
    name = torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()} CPU cores"
    show(
        f"Encoded bytes to encoded bytes, width {asked.width}, batch {asked.batch}, {name}",
        list(measure(asked)),
    )


if __name__ == "__main__":
    main()
