"""Torch's threads spin for a short while only, unless the user wants something else."""

import os
import subprocess
import sys

import pytest


def look(modules: str, **chosen: str) -> subprocess.CompletedProcess[str]:
    """Another Python that imports these modules and prints how long threads are to spin."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    return subprocess.run(
        [sys.executable, "-c", f"import os, {modules}; print(os.environ.get('GOMP_SPINCOUNT', ''))"],
        env={**own, **chosen, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(("chosen", "count"), [({"OMP_WAIT_POLICY": "active"}, "")])
def test_what_the_user_wants_stays(chosen: dict[str, str], count: str) -> None:
    assert look("flows", **chosen).stdout.strip() == count


def test_what_torch_is_loaded_with() -> None:
    looked = look("flows, torch")
    assert looked.stdout.strip() == "1000"
    if sys.platform == "linux":
        # What the library has understood.
        assert "GOMP_SPINCOUNT = '1000'" in looked.stderr
