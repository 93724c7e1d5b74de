"""Work that a thread repeats: what its errors do, and how it ends."""

import threading

from flows.runtime.repeating import repeated
from tests.support.waiting import wait_until


def test_of_errors_in_a_row_the_first_is_reported_and_the_work_goes_on() -> None:
    calls: list[str] = []

    def work() -> None:
        calls.append("work")
        if len(calls) in (2, 3, 5):
            raise ValueError(len(calls))

    reported: list[Exception] = []
    with repeated(
        "test", work, 0.01, failed=reported.append, at_end=lambda: calls.append("end"), patience=600
    ):
        wait_until(lambda: len(calls) > 6, "seven calls")
    assert [error.args[0] for error in reported] == [2, 5]
    assert calls.index("end") == len(calls) - 1


def test_work_that_hangs_does_not_hold_up_the_end() -> None:
    begun, released = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        released.wait()

    with repeated("test", work, 600, patience=0.01):
        begun.wait()
    assert not released.is_set()
    released.set()
