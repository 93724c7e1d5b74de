"""A shard of `edit` on a GPU, stage by stage, through the functions that the flow calls, beside the naive loop."""

from __future__ import annotations

import contextlib
import multiprocessing
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from attgan.data import codec
from attgan.detection import make_mtcnn
from attgan.editing.device_slots import (
    SLOTS_PER_GPU,
    Forward,
    StreamSlot,
    compile_if_possible,
    deterministic,
    make_forward,
    share_slots,
)
from attgan.editing.editor import Editor
from flows.bench.rate import repeat
from flows.edit.job import model_of, resolve
from flows.edit.ledger import Summary
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.run import EditRun
from flows.edit.shard import one_shard, writing
from flows.edit.shard.model import editor_of, warm_up
from flows.runtime.stages import set_torch_threads
from flows.settings import EditSettings
from tests.benchmarks.gpu_measuring import Bench, Measurement, Precision, climb, halving, numbers, timed
from tests.benchmarks.naive import one_by_one
from tests.benchmarks.table import Row

# The stages of a shard, and what the naive loop spends its time on instead.
STAGES = {
    "fetch": (),
    "decode": ("decode",),
    "detect": ("detect", "take the face"),
    "attributes": (),
    "generator": ("copy", "generator"),
    "compositing": ("compositing",),
    "encode": ("encode",),
    "put": (),
}


def edit(bench: Bench, kind: str) -> Iterator[Measurement]:
    """A shard from a folder to a folder, stage by stage, beside the naive loop."""
    yield lambda: halving(bench.edit_batch, lambda batch: _shard_rows(bench, kind, batch))[0]


def _shard_rows(bench: Bench, kind: str, batch: int) -> list[Row]:
    naive_whole, naive = _naive_edit(bench, kind)
    with _prepared(bench, kind, batch) as run:
        warm_up(model_of(run.settings, run.made_of["bundle"]))
        with timed(
            attributes=(Editor, "recognise"),
            generator=(Editor, "edit"),
            compositing=(writing, "put_back"),
            encode=(codec, "write"),
        ) as inner:
            summary = one_shard.edit_shard(run.url, 0, run.settings)
    edited = summary.counts["edited"]
    spent = f"{edited:,} of {sum(summary.counts.values()):,} edited in {summary.wall:.1f} s"
    rows = [
        Row("bytes to bytes", edited / summary.wall, "img/s", "naive loop", naive_whole, bench.peak(), spent)
    ]
    for stage, seconds in stage_seconds(summary, inner).items():
        usual = sum(naive[name] for name in STAGES[stage])
        reference = 1 / usual if usual else None
        rows.append(
            Row(
                stage,
                edited / seconds,
                "img/busy s",
                "naive loop" if usual else "",
                reference,
                note=f"batch {batch}",
            )
        )
    return rows


def stage_seconds(summary: Summary, inner: Counter[str]) -> dict[str, float]:
    """The shard's own seconds by stage, with those of edit and encode told apart; stages that took none left out."""
    own = summary.seconds
    seconds = dict(inner) | {
        "fetch": own["fetch"],
        "decode": own["decode"],
        "detect": own["find"],
        "put": own["put"],
    }
    return {stage: seconds[stage] for stage in STAGES if seconds.get(stage)}


def _settings(bench: Bench, kind: str, batch: int, processes: int = 1) -> EditSettings:
    folder, files = bench.sources[kind]
    return EditSettings(
        source=str(folder),
        destination=str(bench.scratch / f"edited-{secrets.token_hex(4)}"),
        bundle=bench.bundle_url,
        faces="aligned" if kind == "faces" else "largest",
        on_present="edit",
        batch_size=batch,
        shard_size=-(-len(files) // processes),
        cpus_per_shard=max(1, bench.cpus // processes),
        gpus_per_shard=1 / processes if bench.on_gpu else 0,
    )


@contextlib.contextmanager
def _prepared(bench: Bench, kind: str, batch: int, processes: int = 1) -> Iterator[EditRun]:
    """A planned run over a source, of so many shards; what it writes is removed in the end."""
    settings = _settings(bench, kind, batch, processes)
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    try:
        yield prepared.run
    finally:
        shutil.rmtree(settings.destination, ignore_errors=True)


def _naive_edit(bench: Bench, kind: str) -> tuple[float, Counter[str]]:
    """Images per second of the naive loop, and the seconds of an image by what they are spent on."""
    seconds: Counter[str] = Counter()
    before = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal before
        bench.wait()
        now = time.perf_counter()
        seconds[stage] += now - before
        before = now

    detector = None if kind == "faces" else make_mtcnn(bench.device)
    files = bench.sources[kind][1]
    one = one_by_one(bench.bundle, bench.device, detector, lap)
    # What only the first image costs.
    one(files[0])
    seconds.clear()
    begun = before = time.perf_counter()
    done = 0
    while time.perf_counter() - begun < bench.seconds:
        one(files[done % len(files)])
        done += 1
    whole = done / (time.perf_counter() - begun)
    return whole, Counter({stage: spent / done for stage, spent in seconds.items()})


def together(bench: Bench) -> Iterator[Measurement]:
    """Shards side by side in several processes, which share the device and the cores."""
    for processes in bench.processes:
        yield partial(_together_rows, bench, processes)


def _together_rows(bench: Bench, processes: int) -> list[Row]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with (
        _prepared(bench, "faces", bench.edit_batch, processes) as run,
        ProcessPoolExecutor(
            processes, context, _warm, (run.settings, run.made_of["bundle"], barrier)
        ) as pool,
    ):
        jobs = [pool.submit(_clocked, run.url, number, run.settings) for number in range(run.shards)]
        ended = [job.result(timeout=600) for job in jobs]
    wall = max(end for _, _, end in ended) - min(begin for _, begin, _ in ended)
    edited = sum(summary.counts["edited"] for summary, _, _ in ended)
    naive = _naive_edit(bench, "faces")[0]
    note = f"{edited:,} edited in {wall:.1f} s"
    return [
        Row(f"bytes to bytes, {processes} processes", edited / wall, "img/s", "naive loop", naive, note=note)
    ]


def _warm(settings: EditSettings, digest: str, barrier: Any) -> None:
    warm_up(model_of(settings, digest))
    barrier.wait(timeout=600)


def _clocked(url: str, number: int, settings: EditSettings) -> tuple[Summary, float, float]:
    begun = time.time()
    return one_shard.edit_shard(url, number, settings), begun, time.time()


def generator(bench: Bench) -> Iterator[Measurement]:
    """The generator of an edit by precision, compiled or not, and batch; with the slots' copies where it ships so."""
    if not bench.on_gpu:
        yield lambda: "TF32: not available on a CPU"
    yield from climb(bench.variants(), bench.edit_batch, bench.batches, partial(_generator_rows, bench))


def _generator_rows(bench: Bench, precision: Precision, compiled: bool, batch: int) -> list[Row]:
    network = bench.bundle.generator
    device, config = torch.device(bench.device), network.config
    settings = _settings(bench, "faces", bench.edit_batch)
    ready = editor_of(model_of(settings, bench.bundle.digest)).generator
    shape = (batch, bench.size, bench.size, 3)
    pixels, wanted = np.zeros(shape, np.uint8), np.zeros((batch, config.n_attributes), np.float32)
    faces, targets = torch.from_numpy(pixels).to(device), torch.from_numpy(wanted).to(device)
    plain = _plain(bench, batch)
    note = ""
    with numbers(precision):
        forward = eager = make_forward(ready, device, precision == "bfloat16")
        if compiled:
            # Else it compiles the same code a few times at most.
            torch.compiler.reset()
            forward = compile_if_possible(eager, faces, targets)
            note = "torch cannot compile it here" if forward is eager else ""

        def alone() -> None:
            with torch.inference_mode(), deterministic(device):
                forward(faces, targets)

        what = f"{precision}, {'compiled' if compiled else 'eager'}, batch {batch}"
        rows = [Row(what, bench.rate(alone, batch), "img/s", "plain PyTorch", plain, bench.peak(), note)]
        if (precision, compiled) == (("bfloat16", bench.compiled) if bench.on_gpu else ("float32", False)):

            def through(forward: Forward) -> float:
                slots = share_slots(
                    StreamSlot(forward, device, shape, config.n_attributes) for _ in range(SLOTS_PER_GPU)
                )
                editor = Editor(ready, None, device, batch, slots)
                # Each waits for its own batch alone: to wait for the device would keep the slots from overlapping.
                one_core = partial(set_torch_threads, 1)
                work = partial(editor.edit, pixels, wanted)
                return repeat(lambda: len(work()), bench.seconds, SLOTS_PER_GPU, one_core).per_second

            copied = bench.rate(lambda: torch.from_numpy(pixels).to(device).cpu().numpy().copy(), batch)
            rows += [
                Row(f"{what}, with copies", through(forward), "img/s", "plain PyTorch", plain),
                Row(
                    f"copy alone, batch {batch}",
                    through(lambda faces, targets: faces),
                    "img/s",
                    "pageable copy",
                    copied,
                ),
            ]
    return rows


def _plain(bench: Bench, batch: int) -> float:
    """Images per second of the network as it is loaded, with torch's defaults."""
    if ("generator", batch) not in bench.naive:
        network = bench.bundle.generator.to(bench.device).eval()
        images = torch.zeros(batch, 3, bench.size, bench.size, device=bench.device)
        targets = torch.zeros(batch, network.config.n_attributes, device=bench.device)

        def work() -> None:
            with torch.no_grad():
                network(images, targets)

        bench.naive["generator", batch] = bench.rate(work, batch)
    return float(bench.naive["generator", batch])


def jpeg(bench: Bench) -> Iterator[Measurement]:
    """The codec of an edit on one core and on all, and torchvision's on the GPU."""
    yield partial(_jpeg_rows, bench)


def _jpeg_rows(bench: Bench) -> list[Row]:
    files = bench.sources["faces"][1][: max(bench.batches)]
    count = len(files)
    images = [codec.decode(data) for data in files]
    decoding, encoding = (lambda: list(map(codec.decode, files))), (lambda: list(map(codec.encode, images)))
    one = {"decode": repeat_one(bench, decoding, count), "encode": repeat_one(bench, encoding, count)}
    rows = [Row(f"{name}, one core", rate) for name, rate in one.items()]
    for name, work in (("decode", decoding), ("encode", encoding)):
        rate = bench.rate(work, count, bench.cpus)
        rows.append(Row(f"{name}, {bench.cpus} cores", rate, "img/s", "one core", one[name]))
    if not bench.on_gpu:
        return [*rows[:-1], replace(rows[-1], note="torchvision on a GPU: not available here")]
    from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

    data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
    decoded = decode_jpeg(data, ImageReadMode.RGB, device=bench.device)
    on_gpu = {
        "decode": bench.rate(lambda: decode_jpeg(data, ImageReadMode.RGB, device=bench.device), count),
        "encode": bench.rate(lambda: [file.cpu() for file in encode_jpeg(decoded, quality=95)], count),
    }
    note = f"batch {count}"
    return rows + [
        Row(f"{name}, torchvision on the GPU", rate, "img/s", "one core", one[name], note=note)
        for name, rate in on_gpu.items()
    ]


def repeat_one(bench: Bench, work: Callable[[], object], count: int) -> float:
    """As :meth:`Bench.rate`, on one core."""
    return repeat(lambda: (work(), count)[1], bench.seconds, 1, partial(set_torch_threads, 1)).per_second
