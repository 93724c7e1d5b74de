"""The picture of a report, whatever size the edited images have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.edit.job import resolve
from flows.edit.ledger import SampledImage
from flows.edit.report.picture import before_after
from flows.settings import EditSettings
from tests.support.images.pictures import noise, opened, saved

# In the lower right of the image.
BOX = [420.0, 260.0, 600.0, 390.0]


@pytest.mark.parametrize(
    "edited", [(640, 400), (128, 128), (64, 900)], ids=["the image", "the face", "another image since"]
)
def test_a_face_is_shown_beside_its_edit(
    tmp_path: Path, settings: Callable[..., EditSettings], edited: tuple[int, int]
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0, 640, 400)))
    (tmp_path / "out" / "a.jpg").write_bytes(saved(noise(1, *edited)))
    picture = before_after(resolve(settings()), [SampledImage("a.jpg", "a.jpg", BOX)])
    assert picture is not None
    assert np.ptp(opened(picture)) > 0
