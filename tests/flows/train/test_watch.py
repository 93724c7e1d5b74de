"""What a driver says of a worker's progress, whatever the numbers are."""

import json
from pathlib import Path

import pytest

from attgan.models.folder import Folder
from attgan.training.progress import PROGRESS, Progress, Reporter
from flows.train.watch import in_words


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    losses = {"discriminator/total": float("inf"), "generator/total": 2.5}
    words = Progress("diverged", 5, 9, 0.5, losses=losses, check={"psnr": float("nan"), "ssim": 0.25})
    Reporter(Folder(tmp_path), None).tell(words)
    told = json.loads((tmp_path / PROGRESS).read_text(), parse_constant=pytest.fail)
    assert told["losses"] == {"discriminator/total": None, "generator/total": 2.5}
    assert in_words(told) == "0.0 images/s, epoch 0.50, generator/total 2.5, ssim 0.25"
