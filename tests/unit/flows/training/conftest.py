from pathlib import Path

import pytest

from tests.support.data.drawn_dataset import write_drawn_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 60 drawn faces of 64 pixels, 51 of them to train on."""
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_dataset(folder, 60)
    return folder
