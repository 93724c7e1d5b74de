"""A training is asked to stop by a marker in its folder or by a signal, which waits for it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.settings import TrainSettings
from flows.storage import open_store
from flows.train.stopping import clear_request, deferred, request_stop, stop_requests
from flows.train.trial import train_trial


@pytest.fixture
def received() -> Iterator[list[int]]:
    numbers: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_takes_effect_at_the_end_and_a_second_one_at_once(received: list[int]) -> None:
    with deferred(signal.SIGUSR1) as arrived:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (len(arrived), received) == (1, [])
    assert received == [signal.SIGUSR1]
    with deferred(signal.SIGUSR1):
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert received == [signal.SIGUSR1] * 2
    assert received == [signal.SIGUSR1] * 2, "it has had its effect"
    with deferred(signal.SIGUSR1):
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
    assert received == [signal.SIGUSR1] * 3, "the handler is the one from before"


def test_where_python_allows_no_handlers_nothing_is_deferred() -> None:
    found: list[list[int]] = []

    def elsewhere() -> None:
        with deferred(signal.SIGUSR1) as arrived:
            found.append(arrived)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [[]]


def test_the_marker_is_found_within_a_second_or_so_and_can_be_cleared(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    clear_request(store)
    with stop_requests(store) as stop:
        assert not stop()
        request_stop(store)
        deadline = time.monotonic() + 3
        while not stop():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    clear_request(store)
    with stop_requests(store) as stop:
        time.sleep(1.1)
        assert not stop()


def test_stopped_and_taken_up_again_it_ends_like_one_that_was_not(dataset: Path, tmp_path: Path) -> None:
    def run(name: str, stop_after: int | None = None) -> dict[str, object]:
        settings = TrainSettings(
            dataset=str(dataset),
            destination=str(tmp_path / name),
            size=64,
            width=2,
            attributes=["Eyeglasses"],
            batch_size=8,
            max_steps=6,
            cpus=1,
        )
        asked = iter(range(100))
        return train_trial(settings, should_stop=lambda: next(asked) == stop_after)

    whole = run("whole")
    stopped = run("parts", stop_after=3)
    assert (stopped["ended"], stopped["step"]) == ("stopped", 3)
    rest = run("parts")
    assert (rest["ended"], rest["resumed_from"]) == ("finished", 3)
    assert rest["digest"] == whole["digest"]
    for name in ("metrics.jsonl", "bundle/generator.safetensors", "bundle/discriminator.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
