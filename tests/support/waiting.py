"""Waiting for a condition. How long something takes says how busy the machine is, so a limit only ends a hang."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")
# Seconds; with ten busy processes to each core, starting one and loading torch takes minutes.
LIMIT = 600.0


def wait_until(
    condition: Callable[[], T], what: str | Callable[[], str], limit: float = LIMIT, every: float = 0.1
) -> T:
    """Look again and again until the condition holds, and return what was seen, which is true.

    A look that meets a file, a server or a process that is not there (:class:`OSError`, :class:`psutil.Error`) has
    seen nothing yet. All other exceptions pass, and so does the :class:`TimeoutError` of a wait inside the condition.

    Args:
        condition: what is looked at.
        what: is waited for; a function is asked only when it did not come about, for instance for a log.
        limit: seconds after which this is a hang. The condition is looked at once more after them.
        every: seconds between two looks.

    Raises:
        TimeoutError: it did not come about; names what, and has the last look's exception as its cause.
    """
    end = time.monotonic() + limit
    while True:
        is_last = time.monotonic() >= end
        missing: Exception | None = None
        try:
            if seen := condition():
                return seen
        except TimeoutError:
            raise
        except (OSError, psutil.Error) as error:
            missing = error
        if is_last:
            words = what if isinstance(what, str) else what()
            raise TimeoutError(f"waited {limit:g} s for: {words}") from missing
        time.sleep(every)
