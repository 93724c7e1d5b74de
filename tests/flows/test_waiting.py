"""Torch's threads spin for a short while only, unless the user wants something else."""

import os
import subprocess
import sys

import pytest

LOOK = "import flows, os, torch; print(os.environ.get('GOMP_SPINCOUNT', ''))"


@pytest.mark.parametrize(
    ("chosen", "count"),
    [({}, "1000"), ({"OMP_WAIT_POLICY": "active"}, ""), ({"GOMP_SPINCOUNT": "77"}, "77")],
)
def test_what_torch_is_loaded_with(chosen: dict[str, str], count: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**own, **chosen, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == count
    if sys.platform == "linux" and count:  # what the library has understood
        assert f"GOMP_SPINCOUNT = '{count}'" in ended.stderr
