"""The four flows in a row on real Prefect, Ray and S3 servers, and what a second command does of it again."""

from collections.abc import Callable
from typing import Any

import pytest

from attgan.attributes import PUBLISHED
from attgan.models import AttributeClassifier, ClassifierConfig, fresh, save_bundle
from flows.pipeline import pipeline
from flows.runtime.running import run_from_terminal
from flows.settings import PipelineSettings
from flows.storage import join, open_store
from tests.support.small_training import SIZE, small_generator

# Each of the four flows has a test of its own, and so has the way from one to the next (tests/unit/flows).
pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(1800)]
TINY = {"batch_size": 8, "max_steps": 4, "checks_per_epoch": 1, "validation_images": 8, "test_faces": 8}


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> str:
    """The URL of a bucket with a small bundle, whose classifier judges the edits."""
    url = f"s3://{fresh_bucket()}"
    filesystem, path = open_store(join(url, "bundle")).filesystem()
    save_bundle(
        path,
        filesystem=filesystem,
        generator=small_generator(),
        classifier=fresh(AttributeClassifier, ClassifierConfig(image_size=SIZE, width=2), 0),
        attributes=PUBLISHED,
        licence="free",
        about="A test.",
    )
    return url


def etags(bucket: str) -> dict[str, str]:
    """What is there, but for tables and pictures that are made again, and for who was at work."""
    made = {info.key: info.etag for info in open_store(join(bucket, "all")).list()}
    return {
        key: etag
        for key, etag in made.items()
        if key.startswith(("faces/", "dataset/", "aligned/", "edited/"))
        and key not in ("edited/_runs/lease.json", "edited/_runs/clock")
    }


def test_four_steps_and_none_of_them_twice(bucket: str) -> None:
    settings = PipelineSettings.model_validate(
        {
            "destination": join(bucket, "all"),
            "bundle": join(bucket, "bundle"),
            "images": 120,
            "preset": "final",
            "align_options": {"max_steps": 2},
            "sweep_options": TINY,
            "edit_options": {"max_images": 12},
        }
    )
    result: dict[str, Any] = run_from_terminal(pipeline, settings=settings)
    edited = [key for key in etags(bucket) if key.startswith("edited/") and "/_" not in key]
    assert len(edited) == 12
    assert result["bundle"] == join(bucket, "all/best")
    before = etags(bucket)
    again = run_from_terminal(pipeline, settings=settings)
    assert etags(bucket) == before, set(etags(bucket)) - set(before)
    assert {**again, "seconds": 0} == {**result, "seconds": 0}
