"""A process that decodes for the others is killed: whoever waits for it takes over."""

import threading
from pathlib import Path

import numpy as np
import pytest

from attgan.data.loading.cache import decode_all
from attgan.data.loading.shared import PARTIAL, SUFFIX, share_faces
from tests.support.data.stored_dataset import write_dataset
from tests.support.sharing import SIZE, start
from tests.support.waiting import LIMIT, wait_until

pytestmark = pytest.mark.fault


def test_a_maker_that_is_killed_is_no_harm(tmp_path: Path) -> None:
    dataset, folder = write_dataset(tmp_path / "set"), tmp_path / "cache"
    maker, pipe = start(dataset, folder, stay_after=1)
    pipe.send(True)
    assert pipe.poll(LIMIT)
    assert pipe.recv() == "here"

    told: list[int] = []
    waiting = threading.Thread(
        target=lambda: share_faces(dataset, SIZE, folder, 1, lambda done, total: told.append(done))
    )
    waiting.start()
    wait_until(lambda: told, "news of the other process", every=0.02)
    assert set(told) == {7}, "it waits for the other process, which has one part"
    assert [file.name.endswith(SUFFIX + PARTIAL) for file in folder.iterdir()] == [True]

    maker.kill()
    maker.join(LIMIT)
    waiting.join(LIMIT)
    assert told[-6:] == [7, 14, 21, 28, 35, 40], "it has begun anew"
    assert [file.suffix for file in folder.iterdir()] == [SUFFIX]
    faces = share_faces(dataset, SIZE, folder, 1)
    assert faces is not None
    assert np.array_equal(faces, decode_all(dataset, SIZE, 1))
