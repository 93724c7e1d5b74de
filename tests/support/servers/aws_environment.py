"""This process's AWS settings, for longer than one test."""

import contextlib
import os
from collections.abc import Iterator, Mapping

import pytest


@contextlib.contextmanager
def leading_to(server: Mapping[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """The AWS variables are those of a server and no others; the patch takes further ones, and undoes them too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in server.items():
            patch.setenv(name, value)
        yield patch
