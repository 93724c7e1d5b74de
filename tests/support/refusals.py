"""What tests say about refusals: which rule was broken, never in which words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from attgan.errors import UserError
from infra.errors import RefusedError

_CODE = re.compile(r"\[([a-z0-9]+(?:-[a-z0-9]+)+)\]")


@contextmanager
def refused(code: str, *named: str) -> Iterator[pytest.ExceptionInfo[UserError | RefusedError]]:
    """Expect a refusal with this code, on one line that names all of these: an option, a file, a number."""
    with pytest.raises((UserError, RefusedError)) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)
    assert "\n" not in caught.value.line
    for each in named:
        assert each in caught.value.line


def codes_in(printed: str) -> list[str]:
    """The codes of the refusals that a command has printed."""
    return _CODE.findall(printed)
