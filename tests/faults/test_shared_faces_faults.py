"""A process that decodes for the others is killed: whoever waits for it takes over."""

import threading
from pathlib import Path

import numpy as np
import pytest

from attgan.data.loading.cache import decode_all
from attgan.data.loading.shared import LOCK, PARTIAL, SUFFIX, share_faces
from tests.support.data.stored_dataset import write_dataset
from tests.support.sharing import SIZE, start
from tests.support.waiting import LIMIT, wait_until

pytestmark = pytest.mark.fault


def test_whoever_waits_for_a_writer_that_is_killed_writes_the_file(tmp_path: Path) -> None:
    dataset, folder = write_dataset(tmp_path / "set"), tmp_path / "cache"
    writer, pipe = start(dataset, folder, stay_after=1)
    pipe.send(True)
    assert pipe.poll(LIMIT)
    assert pipe.recv() == "here"

    reports: list[int] = []
    waiting = threading.Thread(
        target=lambda: share_faces(dataset, SIZE, folder, 1, lambda done, total: reports.append(done))
    )
    waiting.start()
    wait_until(lambda: reports, "a report of the other process", every=0.02)
    assert set(reports) == {7}, "it waits for the other process, which has one part"
    assert [file.suffix for file in folder.iterdir() if file.suffix != LOCK] == [PARTIAL]

    writer.kill()
    writer.join(LIMIT)
    waiting.join(LIMIT)
    assert reports[-6:] == [7, 14, 21, 28, 35, 40], "it has started again"
    assert [file.suffix for file in folder.iterdir() if file.suffix != LOCK] == [SUFFIX]
    faces = share_faces(dataset, SIZE, folder, 1)
    assert faces is not None
    assert np.array_equal(faces, decode_all(dataset, SIZE, 1))
