"""What stands at a destination after a run, and how that differs from what an undisturbed run leaves there."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.done import INDEX, open_done
from flows.edit.plan.runs import list_runs
from flows.edit.plan.shard_plans import plan_key, read_shard
from flows.edit.run import LATEST, STATE, EditRun, read_run, run_url
from flows.settings import EditSettings
from flows.storage import Store, join, open_store
from flows.storage.s3.store import S3Store
from flows.storage.tree import TEMPORARY
from tests.faults.campaign.faulty_store import read_journal

OURS = ("_runs/", "_state/")
_VARYING = ("url", "destination", "shards_done_before", "images_done_before", "found", "picture")
_MEASURED = (
    *("seconds", "wall", "peak_mb", "slowest_shards"),
    *("shards_wall", "worker_seconds", "workers", "nodes"),
)


@dataclass(frozen=True)
class Observation:
    """A destination after a run.

    Attributes:
        outputs: content by key, of what is not the run's own; foreign objects are among them.
        metadata: theirs, on S3.
        writes: how often each of them was written: by the versions that an S3 bucket keeps, by the journals on a disk.
        rows: of the ledgers that count, by input, without the outputs' ETags, which on a disk hold the time, and of
            failed ones without the attempts: a retry that was disturbed tries them once more.
        plan: the rows of each shard's plan.
        settled: what is done: inputs and their ETags.
        runs: the finished ones, each with its failed images.
        report: what of it does not depend on time, place and luck.
        picture: before and after.
        wrong: sentences about what does not fit together.
        litter: keys that nothing refers to, and files that were never completed.
    """

    outputs: Mapping[str, bytes] = field(repr=False)
    metadata: Mapping[str, Mapping[str, str]] = field(repr=False)
    writes: Counter[str] = field(repr=False)
    rows: Mapping[str, Mapping[str, Any]] = field(repr=False)
    plan: list[list[dict[str, Any]]] = field(repr=False)
    settled: list[tuple[str, str]] = field(repr=False)
    runs: Mapping[str, int]
    report: Mapping[str, Any] = field(repr=False)
    picture: bytes = field(repr=False)
    wrong: list[str]
    litter: list[str]


@dataclass(frozen=True)
class Difference:
    """How a destination differs from the undisturbed one: outputs by number, and sentences about all else."""

    lost: int
    duplicated: int
    different: int
    wrong: list[str]

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.different or self.wrong)


def observe(settings: EditSettings, run_id: str, journals: Sequence[Path] = ()) -> Observation:
    """Look at a run's destination."""
    place = open_store(settings.destination)
    store = open_store(run_url(settings.destination, run_id))
    run = read_run(store)
    assert run is not None
    keys = {info.key: info.etag for info in place.list()}
    outputs = {key: etag for key, etag in keys.items() if not key.startswith(OURS)}
    found = {key: place.get(key) for key in outputs}
    tables = {shard: read_rows(store, key).to_pylist() for shard, key in finished_shards(store).items()}
    rows = {row["key"]: row for table in tables.values() for row in table}
    runs = list_runs(settings.destination, run.lineage)
    state = open_store(join(settings.destination, STATE, run.lineage))
    with open_done(state, runs, may_write=False) as done:
        settled = done.execute("FROM done ORDER BY key").fetchall()
    plan = [read_shard(store, run, shard) for shard in range(run.shards)]
    report = json.loads(store.get("report.json").data)

    wrong = []
    counted = Counter(row["status"] for row in rows.values())
    if sum(map(len, tables.values())) != run.inputs or dict(counted) != _positive(report["counts"]):
        wrong.append(f"{run.inputs} inputs, ledgers with {dict(counted)}, a report with {report['counts']}")
    if [[row["key"] for row in tables.get(shard, ())] for shard in range(run.shards)] != [
        [row["key"] for row in shard] for shard in plan
    ]:
        wrong.append("the ledgers do not have the rows of the plan")
    for row in rows.values():
        has_output = row["status"] in ("edited", "copied")
        if has_output and outputs.get(row["output_key"]) != row["output_etag"]:
            wrong.append(f"{row['key']}: the ledger's ETag is not that of its output")
    for key, *etags in settled:
        row = rows.get(key)
        if row is not None and etags != [row["source_etag"], row["output_etag"]]:
            wrong.append(f"{key}: what is done is not what its ledger says")
    if json.loads(place.get(LATEST).data) != {"run_id": run_id}:
        wrong.append("latest.json names another run")
    lease = json.loads(place.get("_runs/lease.json").data)
    if not lease["released"]:
        wrong.append(f"the lease is held by process {lease['pid']}")
    return Observation(
        outputs={key: one.data for key, one in found.items()},
        metadata={key: dict(one.metadata) for key, one in found.items()},
        writes=_count_writes(place, settings, journals),
        rows={key: _comparable(row) for key, row in rows.items()},
        plan=plan,
        settled=[(key, etag) for key, etag, _ in settled],
        runs={one.run.run_id: one.failed() for one in runs if one.is_finished},
        report=_comparable_report(report),
        picture=store.get("before-after.jpg").data,
        wrong=wrong,
        litter=_litter(place, run, keys),
    )


def differences(found: Observation, expected: Observation) -> Difference:
    """What is not as it is without a fault."""
    wrong = list(found.wrong)
    for name in ("rows", "plan", "settled", "runs", "report", "picture"):
        if getattr(found, name) != getattr(expected, name):
            wrong.append(f"{name}: {_first_difference(getattr(found, name), getattr(expected, name))}")
    twice = {key: found.writes[key] - expected.writes[key] for key in found.writes}
    both = found.outputs.keys() & expected.outputs.keys()
    return Difference(
        lost=len(expected.outputs.keys() - found.outputs.keys()),
        duplicated=len(found.outputs.keys() - expected.outputs.keys())
        + sum(n for n in twice.values() if n > 0),
        different=sum(
            (found.outputs[key], found.metadata[key]) != (expected.outputs[key], expected.metadata[key])
            for key in both
        ),
        wrong=wrong,
    )


def images_read(journals: Sequence[Path]) -> int:
    """How many times the commands' shards have read an input, which is the first thing that is done to it."""
    lines = (line for journal in journals for line in read_journal(journal))
    return sum(
        (line["phase"], line["operation"], line["sort"]) == ("shard", "get", "source") for line in lines
    )


def fingerprints(destination: str) -> dict[str, tuple[int, int]]:
    """Of the outputs on a disk: which file each one is. A second write makes another one of it. Empty on S3."""
    if "://" in destination:
        return {}
    found = {}
    for info in open_store(destination).list():
        if not info.key.startswith(OURS):
            there = os.stat(os.path.join(destination, info.key))
            found[info.key] = (there.st_ino, there.st_mtime_ns)
    return found


def _count_writes(place: Store, settings: EditSettings, journals: Sequence[Path]) -> Counter[str]:
    if isinstance(place, S3Store):
        pages = boto3.session.Session().client("s3").get_paginator("list_object_versions")
        versions = (
            version["Key"].removeprefix(place.prefix)
            for page in pages.paginate(Bucket=place.bucket, Prefix=place.prefix)
            for version in page.get("Versions", ())
        )
        return Counter(key for key in versions if not key.startswith(OURS))
    lines = (line for journal in journals for line in read_journal(journal))
    return Counter(
        line["path"].removeprefix(settings.destination + "/")
        for line in lines
        if (line["operation"], line["sort"], line["result"]) == ("put", "output", "ok")
    )


def _litter(place: Store, run: EditRun, keys: Mapping[str, str]) -> list[str]:
    """Plans that were given up, caches that are not named; on a disk also files that were being written."""
    plans = f"_runs/{run.run_id}/plan/"
    planned = {f"_runs/{run.run_id}/{plan_key(run.plan, shard)}" for shard in range(run.shards)}
    state = f"{STATE}/{run.lineage}/"
    index = state + INDEX
    named = {index, state + json.loads(place.get(index).data)["file"]} if index in keys else set()
    found = [
        key
        for key in keys
        if (key.startswith(plans) and key not in planned) or (key.startswith(state) and key not in named)
    ]
    if not isinstance(place, S3Store):
        found += [str(path) for path in Path(place.url).rglob(TEMPORARY + "*")]
    return found


def _comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    drop = ("output_etag", *(("attempts", "generation") if row["status"] == "failed" else ()))
    return {name: value for name, value in row.items() if name not in drop}


def _comparable_report(report: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in report.items() if name not in (*_VARYING, *_MEASURED)}
    failures = [{n: v for n, v in failure.items() if n != "ledger"} for failure in report["failures"]]
    return kept | {"failures": failures}


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {status: count for status, count in counts.items() if count}


def _first_difference(found: Any, expected: Any) -> str:
    if isinstance(found, Mapping):
        keys = sorted(found.keys() | expected.keys(), key=str)
        pairs = [(key, found.get(key), expected.get(key)) for key in keys]
    elif isinstance(found, list):
        longest = range(max(len(found), len(expected)))
        pairs = [(i, *(side[i] if i < len(side) else None for side in (found, expected))) for i in longest]
    else:
        return "another one"
    name, one, other = next(pair for pair in pairs if pair[1] != pair[2])
    return f"{name} is {one!r:.200}, not {other!r:.200}"
