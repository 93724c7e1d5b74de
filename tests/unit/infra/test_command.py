"""Why a command of pip or uv has failed."""

import pytest

from infra.command import Outcome


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["Collecting uv", "ERROR: No version of uv", "ERROR: No distribution of uv"], "No version of uv"),
        (["  × error: No solution", "  ╰─▶ cause: a needs b", "     c"], "No solution; cause: a needs b"),
        ([], "exit code 3"),
    ],
)
def test_the_reason_is_the_first_error(lines: list[str], reason: str) -> None:
    assert Outcome(code=3, lines=lines).reason() == reason
