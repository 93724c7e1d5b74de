"""Rows come back up to the checkpoint and no further; where nothing can be appended they are seldom written."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from attgan.models.folder import Folder
from attgan.training.run_folder.metrics_log import METRICS, MetricsLog
from attgan.training.run_folder.ownership import take_over
from tests.support.refusals import refused
from tests.unit.attgan.training.run_folder.test_checkpoint import Limited


def step(number: int) -> dict[str, Any]:
    return {"kind": "step", "step": number, "total": number / 3}


def filled(folder: Folder, first: int, last: int, taken_up: int | None = None) -> MetricsLog:
    log = MetricsLog(take_over(folder), taken_up)
    for number in range(first, last + 1):
        log.add(step(number))
    return log


def there(folder: Folder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.read(METRICS).splitlines()]


def test_rows_after_the_checkpoint_are_dropped_and_so_is_a_torn_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    filled(folder, 1, 5).flush()
    with (tmp_path / METRICS).open("ab") as stream:
        stream.write(b'{"kind": "st')
    log = filled(folder, 4, 6, taken_up=3)
    assert there(folder) == [step(1), step(2), step(3)]
    log.flush()
    assert there(folder) == log.rows == [step(number) for number in range(1, 7)]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    log = filled(Folder(tmp_path), 1, 0)
    log.add({"kind": "check", "step": 0, "psnr": math.inf, "loss": math.nan})
    log.flush()
    assert there(Folder(tmp_path)) == [{"kind": "check", "step": 0, "psnr": None, "loss": None}]


@pytest.mark.parametrize("local", [True, False])
def test_only_a_disk_is_written_now_and_then(tmp_path: Path, local: bool) -> None:
    folder = Folder(tmp_path, None if local else fs.PyFileSystem(Limited()))
    log = filled(folder, 1, 3)
    log.flush_if_cheap()
    assert len(there(folder)) == (3 if local else 0)
    log.flush()
    assert there(folder) == log.rows


def test_one_whose_folder_was_taken_over_appends_nothing(tmp_path: Path) -> None:
    old = filled(Folder(tmp_path), 1, 3)
    filled(Folder(tmp_path), 1, 2).flush()
    with refused("run-taken-over"):
        old.flush()
    assert there(Folder(tmp_path)) == [step(1), step(2)]
