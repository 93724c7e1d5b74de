"""Work that a thread repeats while a block runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeated(
    name: str,
    work: Callable[[], object],
    every: float,
    *,
    retry_after: float | None = None,
    failed: Callable[[Exception], object] = lambda error: None,
    at_end: Callable[[], object] = lambda: None,
    patience: float,
) -> Iterator[None]:
    """Call ``work`` in a thread, at once and then again and again, while the block runs. Its errors end nothing.

    Args:
        name: of the thread.
        work: what is repeated.
        every: seconds from the end of a call to the next one.
        retry_after: the same after a call that failed; as after any other by default.
        failed: receives an error, but of several in a row only the first one.
        at_end: called in the thread after the last call of ``work``. Its errors are treated as those of ``work``.
        patience: for how many seconds the end of the block waits for the calls.
    """
    ended = threading.Event()
    is_failing = False

    def attempt(what: Callable[[], object]) -> None:
        nonlocal is_failing
        try:
            what()
        except Exception as error:
            if not is_failing:
                failed(error)
            is_failing = True
        else:
            is_failing = False

    def loop() -> None:
        while not ended.is_set():
            attempt(work)
            ended.wait(retry_after if is_failing and retry_after is not None else every)
        attempt(at_end)

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(patience)
