"""A million keys: listed, planned, found unchanged, and a thousandth of them changed.

``python -m tests.benchmarks.planning --keys 1000000``

Each row is a process of its own, so that its peak is its own; the keys are on a disk (hard links), or on a server that
makes listings up as S3 has them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.edit.job import resolve
from flows.edit.ledger import SCHEMA, ledger_key
from flows.edit.plan.prepared_run import NothingToDo, PreparedRun, prepare
from flows.edit.plan.shard_plans import plan_key
from flows.edit.run import REPORT
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings, InitSettings
from flows.storage import open_store
from flows.training.weights import init
from tests.benchmarks import many_keys
from tests.benchmarks.table import Row, show

PLACES = ("disk", "server")


@dataclass(frozen=True)
class Measured:
    """What a process did: keys, seconds, CPU seconds, its peak in MB and how much that was before."""

    keys: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    before_mb: float


def measure(place: str, keys: int) -> Iterator[Row]:
    """Rows for one place."""
    with (
        tempfile.TemporaryDirectory(prefix="attgan-planning-") as temporary,
        contextlib.ExitStack() as cleanup,
    ):
        folder = Path(temporary)
        source, variables = _source(place, keys, folder, cleanup)
        init(InitSettings(destination=str(folder / "bundle"), width=2, image_size=64))

        def settings(destination: str) -> EditSettings:
            return EditSettings(
                source=source, destination=str(folder / destination), bundle=str(folder / "bundle")
            )

        first, second = settings("out"), settings("later")
        for what, work, wanted in (
            ("list", list_all, first),
            ("list and plan", plan, first),
            ("one shard of that plan, in a worker", one_shard, first),
            ("plan and record all of them as done", record, second),
            ("list, and find nothing new; without a cache, which is written", find_nothing, second),
            ("list, and find nothing new", find_nothing, second),
            ("record a thousandth as done with other content", record_changed, second),
            ("list, and plan a thousandth", plan, second),
        ):
            yield _row(f"{place}: {what}", _in_process(work, wanted, variables))


def list_all(settings: EditSettings) -> int:
    """List the source."""
    return sum(1 for _ in open_store(settings.source).list())


def plan(settings: EditSettings) -> int:
    """Plan a run."""
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    return prepared.run.inputs


def one_shard(settings: EditSettings) -> int:
    """Edit the first shard of the run that was planned."""
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    return edit_shard(prepared.run.url, 0, settings).images


def record(settings: EditSettings, every: int = 1, etag: str | None = None) -> int:
    """Plan a run, and record each input as done without editing it.

    Args:
        settings: of the run.
        every: record one input of so many.
        etag: of the inputs' recorded content; None for the one that they have.
    """
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    keys = 0
    for shard in range(prepared.run.shards):
        source = pa.BufferReader(prepared.store.get(plan_key(prepared.run.plan, shard)).data)
        planned = pq.read_table(source, columns=["key", "etag"])
        planned = planned.take(pa.array(range(0, len(planned), every)))
        known = {
            "key": planned["key"],
            "source_etag": planned["etag"] if etag is None else [etag] * len(planned),
            "output_etag": [os.urandom(16).hex() for _ in range(len(planned))],
            "status": ["edited"] * len(planned),
            "generation": [0] * len(planned),
        }
        columns = [known.get(name, [None] * len(planned)) for name in SCHEMA.names]
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
        prepared.store.put(ledger_key(shard, 0), buffer.getvalue())
        keys += len(planned)
    prepared.store.put(REPORT, json.dumps({"counts": {"failed": 0}}).encode())
    return keys


def record_changed(settings: EditSettings) -> int:
    """Record a thousandth of the inputs as done once more, with other content than they have."""
    return record(settings.model_copy(update={"redo": True}), 1000, "earlier")


def find_nothing(settings: EditSettings) -> int:
    """Plan a run where nothing is new."""
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, NothingToDo)
    return prepared.not_planned.unchanged


def _source(
    place: str, keys: int, folder: Path, cleanup: contextlib.ExitStack
) -> tuple[str, Mapping[str, str]]:
    """The URL of so many keys, and the environment that leads there."""
    if place == "disk":
        return cleanup.enter_context(many_keys.on_disk(keys, folder)), {}
    return f"s3://{many_keys.BUCKET}", cleanup.enter_context(many_keys.on_listing_server(keys))


def _in_process(
    work: Callable[[EditSettings], int], settings: EditSettings, variables: Mapping[str, str]
) -> Measured:
    receive, send = multiprocessing.get_context("spawn").Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(
        target=_measured, args=(work, settings, dict(variables), send)
    )
    child.start()
    send.close()
    try:
        measured: Measured = receive.recv()
    finally:
        child.join()
    return measured


def _measured(
    work: Callable[[EditSettings], int], settings: EditSettings, variables: dict[str, str], send: Any
) -> None:
    os.environ.update(variables)
    # Loads what any of them loads.
    resolve(settings)
    before, cpu, started = _peak_mb(), _cpu_seconds(), time.perf_counter()
    keys = work(settings)
    seconds = time.perf_counter() - started
    send.send(Measured(keys, seconds, _cpu_seconds() - cpu, _peak_mb(), before))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    """Of this very program; ``ru_maxrss`` would have that of the process which started it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _row(what: str, measured: Measured) -> Row:
    note = (
        f"{measured.keys:,} keys in {measured.seconds:,.1f} s, {measured.cpu_seconds:,.1f} s of them CPU; "
        f"{measured.peak_mb - measured.before_mb:,.0f} MB more than before it began"
    )
    return Row(what, measured.keys / measured.seconds, "keys/s", peak_mb=measured.peak_mb, note=note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--on", nargs="+", choices=PLACES, default=PLACES[:2])
    asked = parser.parse_args()
    for place in asked.on:
        show(f"{asked.keys:,} keys, {place}", measure(place, asked.keys))


if __name__ == "__main__":
    main()
