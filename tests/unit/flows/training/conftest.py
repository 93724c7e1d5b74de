from collections.abc import Callable
from pathlib import Path

import pytest

from flows.settings import TrainSettings
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.quick_curves import quick_curves as quick_curves

SmallSettings = Callable[..., TrainSettings]


@pytest.fixture
def small_settings(dataset: Path, tmp_path: Path) -> SmallSettings:
    """Settings of a small training from scratch into ``out`` below the test's folder."""

    def make(**options: object) -> TrainSettings:
        usual = {"dataset": str(dataset), "destination": str(tmp_path / "out"), "size": 64, "width": 2}
        usual |= {"attributes": ["Eyeglasses", "Male"], "batch_size": 8, "cpus": 1}
        return TrainSettings.model_validate(usual | options)

    return make


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 60 drawn faces of 64 pixels, 51 of them to train on."""
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_dataset(folder, 60)
    return folder
