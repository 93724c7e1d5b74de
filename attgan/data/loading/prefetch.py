"""An iterator whose items are made ahead of time, in a thread of its own."""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_END = object()


class _Raised:
    """What ended the thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Shared:
    """State shared with the thread. It has no reference to the iterator, so that this can be garbage-collected."""

    def __init__(self, depth: int) -> None:
        self.made: queue.SimpleQueue[object] = queue.SimpleQueue()
        # Items that may still be made before the consumer takes one.
        self.free = threading.Semaphore(depth)
        self.stopped = threading.Event()


class Prefetched(Iterator[T], Generic[T]):
    """Items of a generator, ``depth`` of them made ahead by a thread.

    An error of the generator is raised in the consumer unchanged, after the items before it. The thread ends with the
    iterator, on :meth:`close`, and when this object is garbage-collected. The generator is always closed in that
    thread.

    Args:
        items: makes the generator; called in the thread.
        depth: how many finished items may wait.
        name: of the thread.
    """

    def __init__(self, items: Callable[[], Generator[T, None, None]], depth: int, name: str) -> None:
        self._shared = _Shared(depth)
        self._thread = threading.Thread(target=_make, args=(items, self._shared), name=name, daemon=True)
        self._finalizer = weakref.finalize(self, _stop, self._shared, self._thread)
        self._thread.start()

    def __next__(self) -> T:
        if self._shared.stopped.is_set():
            raise StopIteration
        made = self._shared.made.get()
        self._shared.free.release()
        if isinstance(made, _Raised):
            self.close()
            raise made.error
        if made is _END or self._shared.stopped.is_set():
            self.close()
            raise StopIteration
        return made  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread, and wait until it has ended: at most as long as an item takes."""
        self._finalizer()


def _make(items: Callable[[], Generator[T, None, None]], shared: _Shared) -> None:
    try:
        with contextlib.closing(items()) as generator:
            while True:
                shared.free.acquire()
                if shared.stopped.is_set():
                    return
                item = next(generator, _END)
                shared.made.put(item)
                if item is _END:
                    return
                del item
    except BaseException as error:
        shared.made.put(_Raised(error))


def _stop(shared: _Shared, thread: threading.Thread) -> None:
    shared.stopped.set()
    shared.free.release()
    # The garbage collector may run in this very thread.
    if thread is not threading.current_thread():
        thread.join()
    # Wakes a consumer that waits in another thread.
    shared.made.put(_END)
