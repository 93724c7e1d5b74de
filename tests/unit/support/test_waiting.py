"""A wait ends when its condition holds, and never hangs."""

from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until


def test_what_was_seen_is_returned() -> None:
    looks = iter([0, None, "", "here", "too late"])
    assert wait_until(lambda: next(looks), "something", every=0) == "here"


def test_what_is_not_there_yet_is_looked_for_again(tmp_path: Path) -> None:
    file, looks = tmp_path / "file", []

    def look() -> str:
        looks.append(len(looks))
        if len(looks) == 2:
            raise psutil.NoSuchProcess(1)
        if len(looks) == 3:
            file.write_text("here")
        return file.read_text()

    assert wait_until(look, "the file", every=0) == "here"
    assert len(looks) == 3


def test_what_does_not_come_about_is_named_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="the file") as caught:
        wait_until((tmp_path / "file").read_text, "the file", limit=0)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(TimeoutError, match="its log") as caught:
        wait_until(lambda: False, lambda: "its log", limit=0.01, every=0.001)
    assert caught.value.__cause__ is None


def test_a_condition_that_cannot_hold_any_more_ends_the_wait() -> None:
    def look() -> bool:
        raise AssertionError("it has ended")

    with pytest.raises(AssertionError, match="it has ended"):
        wait_until(look, "something")
    with pytest.raises(TimeoutError, match="the inner one"):
        wait_until(lambda: wait_until(lambda: False, "the inner one", limit=0), "the outer one")
