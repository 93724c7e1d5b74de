"""Training from scratch, aligning and training on from the aligned bundle, on real Prefect, Ray and S3 servers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter

from attgan.models import inspect_bundle, load_bundle
from flows.runtime.running import run_from_terminal
from flows.settings import AlignSettings, TrainSettings
from flows.storage import join, open_store
from flows.training.flow import align, train
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused

pytestmark = pytest.mark.stack
NAMES = ["Eyeglasses", "Male", "Young"]
SMALL = {"batch_size": 8, "epochs": 2, "checks_per_epoch": 2}
FRESH = SMALL | {"size": 64, "width": 2, "attributes": NAMES, "strategy": "permutation"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_drawn_dataset(folder, 60)
    return folder


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str], dataset: Path) -> str:
    """The URL of a bucket with a dataset of 60 drawn faces."""
    url = f"s3://{fresh_bucket()}"
    store = open_store(join(url, "dataset"))
    for path in dataset.iterdir():
        store.put(path.name, path.read_bytes())
    return url


def run_train(bucket: str, name: str, **options: Any) -> dict[str, Any]:
    places = {"dataset": join(bucket, "dataset"), "destination": join(bucket, name)}
    settings = TrainSettings.model_validate(places | options)
    result: dict[str, Any] = run_from_terminal(train, settings=settings)
    return result


def keys(bucket: str, name: str) -> dict[str, str]:
    return {info.key: info.etag for info in open_store(join(bucket, name)).list()}


def last_artifacts() -> dict[str | None, Any]:
    """What the latest flow run shows in the UI."""

    async def read() -> dict[str | None, Any]:
        async with get_client() as client:
            runs = await client.read_flow_runs(sort="START_TIME_DESC", limit=1)
            only = FlowRunFilter.model_validate({"id": {"any_": [runs[0].id]}})
            found = await client.read_artifacts(artifact_filter=ArtifactFilter(), flow_run_filter=only)
            return {artifact.key: artifact for artifact in found}

    return asyncio.run(read())


def test_from_scratch_then_aligned_then_trained_on(bucket: str) -> None:
    first = run_train(bucket, "scratch", **FRESH)
    assert first["bundle"] == join(bucket, "scratch", "bundle")
    info = inspect_bundle(*_place(first["bundle"]))
    assert (info.digest, list(info.config.attributes)) == (first["digest"], NAMES)
    assert info.config.generator.width == info.config.discriminator.width == 2
    assert info.config.licence == "trained on the dataset all: the terms of its images apply"
    assert "psnr" in first["measured"]

    artifacts = last_artifacts()
    assert artifacts["train-progress"].data == 100
    assert "12 of 12 steps" in artifacts["train-progress"].description
    assert "data:image/png;base64," in artifacts["train-curves"].data
    assert "data:image/jpeg;base64," in artifacts["train-faces"].data
    assert first["digest"][:16] in artifacts["train-result"].data

    before = keys(bucket, "scratch")
    again = run_train(bucket, "scratch", **FRESH)
    assert again["digest"] == first["digest"]
    assert keys(bucket, "scratch") == before, "a finished run is recognised, and nothing of it is touched"

    aligned = _align(bucket, first["bundle"])
    old, new = (load_bundle(*_place(shown["bundle"])) for shown in (first, aligned))
    for name, tensor in old.generator.state_dict().items():
        assert tensor.equal(new.generator.state_dict()[name]), "the generator stays as it is"
    assert new.discriminator is not None
    assert new.config.licence == old.config.licence
    assert last_artifacts()["align-progress"].data == 100

    tuned = run_train(
        bucket, "tuned", **SMALL, bundle=aligned["bundle"], freeze_d=2, licence="only for tests"
    )
    frozen = load_bundle(*_place(tuned["bundle"]))
    assert frozen.config.licence == f"{old.config.licence}; only for tests"
    assert frozen.discriminator is not None
    for name, tensor in frozen.discriminator.state_dict().items():
        if name.startswith("conv.") and name.endswith("0.weight"):
            same = tensor.equal(new.discriminator.state_dict()[name])
            assert same == name.startswith(("conv.0.", "conv.1.")), name

    with refused("run-settings-differ") as caught:
        run_train(bucket, "tuned", **SMALL, bundle=aligned["bundle"], freeze_d=2, learning_rate=1e-3)
    assert "\n" not in str(caught.value)


def _align(bucket: str, bundle: str) -> dict[str, Any]:
    settings = AlignSettings(
        dataset=join(bucket, "dataset"),
        bundle=bundle,
        destination=join(bucket, "aligned"),
        fresh_discriminator=True,
        batch_size=8,
        epochs=1,
    )
    result: dict[str, Any] = run_from_terminal(align, settings=settings)
    return result


def _place(url: str) -> tuple[str, Any]:
    filesystem, path = open_store(url).filesystem()
    return path, filesystem


def test_what_cannot_be_is_refused_before_anything_is_submitted(bucket: str) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"gpus": 1}, "cluster-too-small"),
        ({"dataset": join(bucket, "nothing")}, "manifest-missing"),
        ({"destination": "s3://no-such-bucket-here/x"}, "bucket-missing"),
    ]
    for options, code in mistakes:
        with refused(code) as caught:
            run_train(bucket, "refused", **(FRESH | options))
        assert "\n" not in str(caught.value)
    assert not keys(bucket, "refused")


def test_a_divergence_is_one_line_and_keeps_the_last_good_state(bucket: str) -> None:
    with pytest.raises(Exception, match=r"exploded|is nan") as caught:
        run_train(bucket, "diverged", **FRESH, explode_above=1.0)
    assert "\n" not in str(caught.value)
    assert "run.json" in keys(bucket, "diverged")
