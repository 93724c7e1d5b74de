"""Items made ahead in a thread: in order, bounded, and no thread that stays behind."""

import gc
import threading
import time
from collections.abc import Generator

import pytest

from attgan.data.loading.prefetch import Prefetched


def alive(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


class Source:
    """Counts, and notes how far it was asked and in which thread it ended."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.made = 0
        self.closed_in = ""

    def items(self) -> Generator[int, None, None]:
        try:
            for number in range(self.count):
                self.made += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed_in = threading.current_thread().name


def test_all_items_come_in_order_and_the_thread_ends() -> None:
    assert list(Prefetched(Source(100).items, 3, "a")) == list(range(100))
    assert not alive("a")


def test_no_more_than_depth_wait_and_one_is_made_ahead() -> None:
    source = Source(100)
    items = Prefetched(source.items, 3, "b")
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    time.sleep(0.1)
    assert 5 <= source.made <= 8
    items.close()


def test_an_error_comes_after_the_items_before_it_and_as_it_is() -> None:
    items = Prefetched(Source(2, ConnectionError("lost")).items, 5, "c")
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ConnectionError, match="lost"):
        next(items)
    assert not alive("c")
    assert list(items) == []


@pytest.mark.parametrize("taken", [0, 1])
def test_closing_ends_the_thread_and_the_generator_in_it(taken: int) -> None:
    source = Source(100)
    items = Prefetched(source.items, 2, "d")
    for _ in range(taken):
        next(items)
    items.close()
    assert not alive("d")
    assert source.closed_in in ("d", "")
    assert list(items) == []
    items.close()


def test_what_is_no_longer_used_ends() -> None:
    source = Source(100)
    items = Prefetched(source.items, 2, "e")
    next(items)
    del items
    gc.collect()
    assert not alive("e")
    assert source.closed_in == "e"


def test_closing_from_elsewhere_frees_one_who_waits() -> None:
    gate = threading.Event()

    def stuck() -> Generator[int, None, None]:
        gate.wait()
        yield 1

    items = Prefetched(stuck, 1, "f")
    seen: list[list[int]] = []
    waiting = threading.Thread(target=lambda: seen.append(list(items)))
    waiting.start()
    threading.Timer(0.1, gate.set).start()
    items.close()
    waiting.join()
    assert seen in ([[]], [[1]])
