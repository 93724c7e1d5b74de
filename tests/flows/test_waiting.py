"""Torch's threads do not spin while they wait, unless the user wants them to."""

import os
import subprocess
import sys

import pytest

LOOK = "import flows, os, torch; print(os.environ.get('OMP_WAIT_POLICY', ''))"


@pytest.mark.parametrize(
    ("chosen", "policy"),
    [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")],
)
def test_what_torch_is_loaded_with(chosen: dict[str, str], policy: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**own, **chosen, "OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == policy
    if sys.platform == "linux":  # what the library has understood
        assert f"OMP_WAIT_POLICY = '{policy.upper()}'" in ended.stderr
