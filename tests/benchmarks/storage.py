"""Small objects on one S3 server: our store beside boto3, in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

from flows.bench import ceilings
from flows.bench.ceilings import Work
from flows.bench.faces import drawn_faces, fill
from flows.edit.shard.streaming import REQUESTS_IN_FLIGHT
from flows.settings import EditSettings
from flows.storage import open_store
from tests.benchmarks.table import Row, peak_mb, rate

THREADS = 16


def measure(bucket: str, objects: int = 1500) -> Iterator[Row]:
    """Rows for PUT, GET and listing."""
    files = drawn_faces(objects)
    store = open_store(f"{bucket}/bench")
    keys = fill(store, objects)
    settings = EditSettings(source=store.url, destination=f"{bucket}/bench-out")
    work = Work(settings, "", tuple(keys), f"{bucket}/bench-put", seconds=3)
    client = boto3.client("s3", config=Config(max_pool_connections=THREADS))
    name = bucket.removeprefix("s3://")

    def boto_put(i: int) -> None:
        client.put_object(Bucket=name, Key=f"bench-boto/{keys[i]}", Body=files[i])

    def boto_get(i: int) -> None:
        client.get_object(Bucket=name, Key=f"bench-boto/{keys[i]}")["Body"].read()

    for what, ours, one in (("PUT", ceilings.put, boto_put), ("GET", ceilings.get, boto_get)):
        loop = rate(lambda: [one(i) for i in range(objects // 5)], objects // 5, repeats=1)  # noqa: B023
        with ThreadPoolExecutor(THREADS) as pool:
            threads = rate(lambda: list(pool.map(one, range(objects))), objects, repeats=2)  # noqa: B023
        mine = ours(work)
        what = f"{what}, {REQUESTS_IN_FLIGHT} in flight"
        note = f"{1000 * mine.cpu_seconds / mine.images:.2f} ms CPU each"
        for against, reference in ((f"boto3, {THREADS} threads", threads), ("boto3, one by one", loop)):
            yield Row(what, mine.per_second, "objects/s", against, reference, peak_mb(), note)
    listed = rate(lambda: sum(1 for _ in store.list()), objects)
    paged = rate(lambda: _listed_by_boto(client, name), objects)
    yield Row("list", listed, "keys/s", "boto3's paginator", paged, peak_mb())


def _listed_by_boto(client: object, bucket: str) -> int:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="bench/")  # type: ignore[attr-defined]
    return sum(len(page["Contents"]) for page in pages)
