"""A disk that is really full: a small file system, which has more room when the command is given again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.case import Case, MakeJob
from tests.faults.campaign.command import Outcome, run
from tests.faults.campaign.scenario import Scenario

SIZES_KB = tuple(range(12, 292, 20))


def cases(scenario: Scenario, disk: Path) -> list[Case]:
    """The disk has no more room after so many kilobytes."""
    return [Case(scenario, (Full(disk, size),)) for size in SIZES_KB]


@dataclass(frozen=True)
class Full:
    """A file system of a few kilobytes, mounted at ``disk``."""

    disk: Path
    size_kb: int

    kind = "disk really full"

    @property
    def point(self) -> str:
        return f"after {self.size_kb} kB"

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        resize(self.disk, f"{used_kb(self.disk) + self.size_kb}k")
        try:
            outcome = run(make_job())
        finally:
            resize(self.disk, "100m")
        is_full = "No space left on device" in outcome.text
        if outcome.end != "done" and not is_full:
            wrong.append(f"on a full disk: {outcome}")
        return [outcome], int(is_full)


@contextlib.contextmanager
def mounted() -> Iterator[Path | None]:
    """A file system in memory; None where this user may not mount one."""
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", folder], capture_output=True
        )
        if tried.returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: str) -> None:
    """Give a mounted file system another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def used_kb(disk: Path) -> int:
    """What lies on it, in whole blocks."""
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
