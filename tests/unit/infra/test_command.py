"""What pip and uv lines, and how they are ended."""

import os
import sys
from pathlib import Path

import pytest

from infra.command import NO_ANSWER, NO_SPACE, Outcome, run


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["Collecting uv", "ERROR: No version of uv", "ERROR: No distribution of uv"], "No version of uv"),
        (["  × error: No solution", "  ╰─▶ cause: a needs b", "     c"], "No solution; cause: a needs b"),
        (["", "it just ended", ""], "it just ended"),
        ([], "exit code 3"),
    ],
)
def test_the_reason_is_the_first_error(lines: list[str], reason: str) -> None:
    assert Outcome(code=3, lines=lines).reason() == reason


def test_what_a_command_does_is_seen_in_its_output(tmp_path: Path) -> None:
    says = "print('Downloading'); print('Installing collected packages: a'); print('x', file=__import__('sys').stderr)"
    outcome = run([sys.executable, "-c", says], tmp_path)
    assert (outcome.code, outcome.changed) == (0, True)
    assert sorted(outcome.lines) == ["Downloading", "Installing collected packages: a", "x"]
    assert not run([sys.executable, "-c", "print('Downloading')"], tmp_path).changed


def test_a_full_disk_and_a_silent_network_are_known_by_the_systems_words() -> None:
    full = Outcome(lines=[f"OSError: [Errno 28] {os.strerror(28)}"])
    silent = Outcome(lines=[f"error: [Errno 111] {os.strerror(111)}"])
    assert (bool(full.match_of(NO_SPACE)), full.match_of(NO_ANSWER)) == (True, "")
    assert (silent.match_of(NO_SPACE), bool(silent.match_of(NO_ANSWER))) == ("", True)
