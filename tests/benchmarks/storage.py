"""Small objects on one S3 server: our store beside boto3, in the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

from flows.storage import Store, open_store
from tests.benchmarks.faces import drawn_faces
from tests.benchmarks.table import Row, peak_mb, rate

IN_FLIGHT = 64
THREADS = 16


def measure(bucket: str, objects: int = 1500) -> Iterator[Row]:
    """Rows for PUT, GET and listing."""
    files = drawn_faces(objects)
    store = open_store(f"{bucket}/bench")
    client = boto3.client("s3", config=Config(max_pool_connections=THREADS))
    name = bucket.removeprefix("s3://")
    keys = [f"{i:06d}.jpg" for i in range(objects)]

    def boto_put(i: int) -> None:
        client.put_object(Bucket=name, Key=f"bench-boto/{keys[i]}", Body=files[i])

    def boto_get(i: int) -> None:
        client.get_object(Bucket=name, Key=f"bench-boto/{keys[i]}")["Body"].read()

    ours = {
        "PUT": lambda: _all(lambda i: store.aput(keys[i], files[i]), objects),
        "GET": lambda: _all(lambda i: store.aget(keys[i]), objects),
    }
    for what, one in (("PUT", boto_put), ("GET", boto_get)):
        loop = rate(lambda: [one(i) for i in range(objects // 5)], objects // 5, repeats=1)  # noqa: B023
        with ThreadPoolExecutor(THREADS) as pool:
            threads = rate(lambda: list(pool.map(one, range(objects))), objects, repeats=2)  # noqa: B023
        mine, cpu = _rate_and_cpu(ours[what], objects)
        note = f"{cpu:.2f} ms CPU each"
        yield Row(
            f"{what}, 64 in flight", mine, "objects/s", f"boto3, {THREADS} threads", threads, peak_mb(), note
        )
        yield Row(f"{what}, 64 in flight", mine, "objects/s", "boto3, one by one", loop, peak_mb(), note)
    listed = rate(lambda: sum(1 for _ in store.list()), objects)
    yield Row("list", listed, "keys/s", peak_mb=peak_mb())


def _all(request: Callable[[int], Awaitable[object]], count: int) -> None:
    async def run() -> None:
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(i: int) -> None:
            async with slots:
                await request(i)

        await asyncio.gather(*(one(i) for i in range(count)))

    asyncio.run(run())


def _rate_and_cpu(work: Callable[[], None], count: int) -> tuple[float, float]:
    measured = rate(work, count)
    started = time.process_time()
    work()
    return measured, 1000 * (time.process_time() - started) / count


def fill(store: Store, count: int) -> None:
    """Put drawn faces into a store."""
    files = drawn_faces(count)
    _all(lambda i: store.aput(f"{i:06d}.jpg", files[i]), count)
