"""A million keys: listed, planned, and found unchanged. ``python -m tests.benchmarks.planning --keys 1000000``

Each row is a process of its own, so that its peak is its own; the keys are on a disk (hard links), on a server that
makes listings up as S3 has them, and with ``--on seaweedfs`` on a real SeaweedFS, which lists folder by folder.
"""

from __future__ import annotations

import argparse
import contextlib
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

from attgan.attributes import parse_edits
from flows.edit.prepared_run import NothingToDo, PreparedRun, check, prepare
from flows.edit.run import fingerprint_inputs, lineage_of
from flows.edit.shard import edit_shard
from flows.edit.state import STATE, Ended, Settled, State
from flows.settings import EditSettings, InitSettings
from flows.storage import join, open_store
from flows.training.weights import init
from tests.benchmarks import many_keys
from tests.benchmarks.table import Row, show

PLACES = ("disk", "server", "seaweedfs")


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
            ("settle all of them in the state", settle, second),
            ("list, walk the state, find nothing new", find_nothing, second),
        ):
            yield _row(f"{place}: {what}", _in_process(work, wanted, variables))


def list_all(settings: EditSettings) -> int:
    """List the source."""
    return sum(1 for _ in open_store(settings.source).list())


def plan(settings: EditSettings) -> int:
    """Plan a run."""
    prepared = prepare(settings)
    assert isinstance(prepared, PreparedRun)
    return prepared.run.inputs


def one_shard(settings: EditSettings) -> int:
    """Edit the first shard of the run that was planned."""
    prepared = prepare(settings)
    assert isinstance(prepared, PreparedRun)
    return edit_shard(prepared.run.url, 0, settings).images


def settle(settings: EditSettings) -> int:
    """Record every key of the source as done by an earlier run."""
    bundle = check(settings)
    edits = parse_edits(settings.set, settings.intensity, bundle.config.attributes)
    made_of = fingerprint_inputs(settings, edits, bundle.digest, None)
    lineage = lineage_of(settings, made_of)
    keys = 0

    def rows() -> Iterator[Settled]:
        nonlocal keys
        for info in open_store(settings.source).list():
            keys += 1
            yield Settled(info.key, info.etag, f"{keys:032x}", "edited")

    State(open_store(join(settings.destination, STATE, lineage))).add(
        Ended(run_id="earlier", retried=0, failed=0), rows
    )
    return keys


def find_nothing(settings: EditSettings) -> int:
    """Plan a run where nothing is new."""
    prepared = prepare(settings)
    assert isinstance(prepared, NothingToDo)
    return prepared.not_planned.unchanged


def _source(
    place: str, keys: int, folder: Path, cleanup: contextlib.ExitStack
) -> tuple[str, Mapping[str, str]]:
    """The URL of so many keys, and the environment that leads there."""
    if place == "disk":
        return cleanup.enter_context(many_keys.on_disk(keys, folder)), {}
    if place == "server":
        return f"s3://{many_keys.BUCKET}", cleanup.enter_context(many_keys.on_listing_server(keys))
    return f"s3://{many_keys.BUCKET}", cleanup.enter_context(many_keys.on_seaweedfs(keys, folder))


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
    check(settings)  # loads what any of them loads
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
