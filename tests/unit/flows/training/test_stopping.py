"""A training is asked to stop by a marker in its folder or by a signal, which waits for it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.settings import TrainSettings
from flows.storage import Fetched, open_store
from flows.storage.disk import DiskStore
from flows.training.stopping import MARKER, deferred, new_command, request_stop, stop_requests
from flows.training.trial import train_trial
from flows.urls import Location
from tests.support.waiting import wait_until


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
    with deferred(signal.SIGUSR1, unless=lambda: "the run was cancelled"):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert received == [signal.SIGUSR1] * 3, "its effect is left out"


def test_only_the_command_that_a_worker_works_for_can_stop_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first, second = new_command(), new_command()
    request_stop(store, second)
    with (
        stop_requests(store, first) as stop,
        stop_requests(store) as without,
        stop_requests(store, second) as other,
    ):
        wait_until(other, "the stop")
        assert not stop(), "what another command wants, or wanted earlier"
        request_stop(store, first)
        wait_until(stop, "the stop")
        assert not without(), "nobody but a signal stops a run that no command looks on"


class FarStore(DiskStore):
    """A disk that answers when it is let, and counts how often it was asked."""

    def __init__(self, location: Location) -> None:
        super().__init__(location, "--destination")
        self.asked, self.let = 0, threading.Event()

    def get(self, key: str) -> Fetched:
        self.asked += 1
        self.let.wait()
        return super().get(key)


# Seconds of waiting between looks.
@pytest.mark.long
def test_a_slow_storage_in_trouble_holds_no_step_up_and_ends_no_looking(tmp_path: Path) -> None:
    store, command = FarStore(Location(None, str(tmp_path))), new_command()
    # It leads to itself.
    (tmp_path / MARKER).symlink_to(MARKER)
    with stop_requests(store, command) as stop:
        wait_until(lambda: store.asked == 1, "a look for the marker")
        assert not stop(), "it would hang if it waited for the storage"
        store.let.set()
        wait_until(lambda: store.asked >= 2, "a look after one that failed")
        assert not stop()
        (tmp_path / MARKER).unlink()
        request_stop(store, command)
        wait_until(stop, "the stop")
    assert "stop-marker" not in {thread.name for thread in threading.enumerate()}


def test_stopped_and_taken_up_again_it_ends_like_one_that_was_not(
    small_settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    def run(name: str, stop_after: int | None = None) -> dict[str, object]:
        settings = small_settings(destination=str(tmp_path / name), max_steps=6)
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
