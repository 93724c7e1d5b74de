"""One small dataset of drawn faces for all tests that train."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from attgan.data.loading.loader import Faces
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.quick_curves import quick_curves as quick_curves
from tests.support.small_training import open_small


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """84 drawn faces, 12 of them held out, 64 px."""
    folder = tmp_path_factory.mktemp("small-data")
    write_drawn_dataset(folder, 84)
    return folder


@pytest.fixture
def small_faces(small_data: Path) -> Iterator[Faces]:
    with open_small(small_data) as faces:
        yield faces
