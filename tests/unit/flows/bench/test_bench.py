"""The bench: how stages add up, what it refuses, and that it leaves nothing behind."""

from pathlib import Path

import pytest

from flows.bench import ceilings
from flows.bench.bench import prepare
from flows.bench.ceilings import Work
from flows.bench.faces import drawn_faces
from flows.bench.together import Ceiling, bottleneck, combined, serves_here, with_twice
from flows.settings import EditSettings, InitSettings
from flows.storage import open_store
from flows.storage.bundles import inspect
from flows.training.weights import init
from tests.support.refusals import refused


def test_stages_on_the_same_cores_take_turns_and_others_overlap() -> None:
    stages = [Ceiling("GET", 1000), Ceiling("codec", 500), Ceiling("generator", 400, on_cores=False)]
    assert combined(stages) == pytest.approx(1000 / 3)
    assert bottleneck(stages).stage == "codec"
    assert with_twice(stages, stages[1]) == pytest.approx(400)
    assert combined([Ceiling("generator", 100, on_cores=False), *stages]) == pytest.approx(100)


def test_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("broken.jpg", b"\xff\xd8 no image")
    init(InitSettings(destination=str(tmp_path / "bundle"), width=2, image_size=64))
    digest = inspect(str(tmp_path / "bundle")).digest
    settings = EditSettings(
        source=store.url, destination=str(tmp_path / "out"), bundle=str(tmp_path / "bundle")
    )
    with refused("images-unreadable"):
        prepare(Work(settings, digest, ("broken.jpg",), str(tmp_path / "put"), 0.01))
    store.put("face.jpg", drawn_faces(1)[0])
    work = Work(settings, digest, ("broken.jpg", "face.jpg"), str(tmp_path / "put"), 0.01)
    measured = {stage: ceilings.measure(stage, work) for stage in ceilings.STAGES}
    assert measured.pop("classifier") is None
    assert all(rate is not None and rate.images > 0 for rate in measured.values())
    assert serves_here(store)
