"""What a driver says of a worker's progress."""

import json
import logging
from pathlib import Path

import pytest

from attgan.training.run_folder.progress import PROGRESS
from flows.storage import open_store
from flows.training.stopping import new_command, stop_requests
from flows.training.watch import Watch


def opening(folder: Path, done: int) -> None:
    (folder / PROGRESS).write_text(json.dumps({"state": "opening", "note": f"{done} of 9 images decoded"}))


def test_the_words_of_another_commands_worker_are_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, log = open_store(str(tmp_path)), logging.getLogger("test")
    first, second = new_command(), new_command()
    one, two = (Watch(store, "train", log, command) for command in (first, second))
    with stop_requests(store, first):
        opening(tmp_path, 1)
        for watch in (one, two):
            watch.look(now=True)
        assert one.latest is not None
        assert two.latest is None, "its own worker has not started"
    with stop_requests(store, second):
        two.look(now=True)
        assert two.latest is None, "those are the first one's words still"
        opening(tmp_path, 2)
        two.look(now=True)
        one.look(now=True)
    assert two.latest == {"state": "opening", "note": "2 of 9 images decoded"}
    assert one.latest == {"state": "opening", "note": "1 of 9 images decoded"}
    assert caplog.messages == ["1 of 9 images decoded", "2 of 9 images decoded"]
