"""What a driver says of a worker's progress, whatever the numbers are."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from attgan.models.folder import Folder
from attgan.training.run_folder.progress import PROGRESS, Progress, Reporter
from flows.storage import open_store
from flows.training import watch as watching
from flows.training.stopping import new_command, stop_requests
from flows.training.watch import Watch, describe_progress


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    losses = {"discriminator/total": float("inf"), "generator/total": 2.5}
    words = Progress("diverged", 5, 9, 0.5, losses=losses, check={"psnr": float("nan"), "ssim": 0.25})
    Reporter(Folder(tmp_path), None).report(words)
    told = json.loads((tmp_path / PROGRESS).read_text(), parse_constant=pytest.fail)
    assert told["losses"] == {"discriminator/total": None, "generator/total": 2.5}
    assert describe_progress(told) == "0.0 images/s, epoch 0.50, generator/total 2.5, ssim 0.25"


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


def test_silence_is_said_again_and_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    clock = [1000.0]
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    store, command = open_store(str(tmp_path)), new_command()
    watch = Watch(store, "train", logging.getLogger("test"), command)

    def looked_on() -> list[str]:
        caplog.clear()
        for _ in range(2):
            clock[0] += watching._SILENCE
            watch.look(now=True)
            watch.look(now=True)
        return [line.split(" worker")[0] for line in caplog.messages]

    assert looked_on() == ["waiting for the"] * 2
    with stop_requests(store, command):
        opening(tmp_path, 1)
        watch.look(now=True)
        assert looked_on() == ["no progress from the"] * 2
