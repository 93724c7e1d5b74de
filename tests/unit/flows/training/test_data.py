"""Where the trainings of one machine share their decoded faces."""

from pathlib import Path

import pytest

from attgan.attributes import PUBLISHED
from flows.settings import TrainSettings
from flows.training.data import open_data
from tests.support.data.drawn_dataset import write_drawn_dataset


def test_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTGAN_CACHE_DIR", str(tmp_path / "cache"))
    write_drawn_dataset(tmp_path / "data", 10)
    settings = TrainSettings.model_validate(
        {"dataset": str(tmp_path / "data"), "destination": str(tmp_path / "run"), "size": 64}
    )
    with open_data(settings, 64, PUBLISHED, decode=False):
        assert not (tmp_path / "cache").exists(), "what decodes nothing keeps nothing"
    for _ in range(2):
        with open_data(settings, 64, PUBLISHED) as faces:
            assert faces.in_memory
    assert sorted(path.suffix for path in (tmp_path / "cache" / "faces").iterdir()) == [".lock", ".npy"]
