"""The bench and the health check where servers are."""

from collections.abc import Callable

import pytest

from flows.bench.bench import run_bench
from flows.bench.faces import drawn_faces
from flows.operate.doctor import examine
from flows.settings import BenchSettings, InitSettings
from flows.storage import open_store
from flows.training.weights import init

pytestmark = pytest.mark.stack


def test_named_images_are_read_and_stay(stack: dict[str, str], fresh_bucket: Callable[..., str]) -> None:
    bucket = fresh_bucket()
    source = open_store(f"s3://{bucket}/mine")
    for number, data in enumerate(drawn_faces(6)):
        source.put(f"{number}.jpg", data)
    bundle = f"s3://{bucket}/bundle"
    init(InitSettings(destination=bundle, width=2, image_size=64))
    settings = BenchSettings(
        bundle=bundle, destination=f"s3://{bucket}/scratch", source=source.url, images=4, stage_time="0.1s"
    )
    assert run_bench(settings).reached.images == 4
    assert [info.key for info in source.list()] == [f"{number}.jpg" for number in range(6)]
    assert list(open_store(f"s3://{bucket}/scratch").list()) == []


def test_servers_and_a_bucket_are_found(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> None:
    place = f"s3://{fresh_bucket()}/run"
    rows = list(examine((place,)))
    found = {row["check"]: row["ok"] for row in rows}
    assert {found[check] for check in ("Prefect server", "Ray cluster", "S3 credentials", place)} == {
        "yes"
    }, rows
