"""Runs pip or uv, and reads from its output how far it got and why it failed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.errors import Interrupted

# uv and pip print these lines when all packages are downloaded, before they change the environment.
_INSTALLING = re.compile(
    r"(Prepared|Uninstalled|Installed) \d+ package|.*Failed to install|Installing collected packages"
)
_LARGE_DOWNLOAD = re.compile(r"\s*Downloading .*\((\d{2,}(\.\d+)? ?M|\d+(\.\d+)? ?G)i?B\)")
NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b")
NO_ANSWER = re.compile(
    r"Connection refused|Temporary failure in name resolution|Name or service not known|Network is unreachable"
    r"|No route to host|Cannot connect to proxy|timed out|error sending request"
)
# Seconds for a command to end after SIGTERM.
_GRACE = 10.0


@dataclass
class Outcome:
    """The result of a command.

    Attributes:
        code: its exit code.
        lines: its output.
        download: seconds until all packages were downloaded.
        installation: seconds after that.
        changed: whether it has started to change the environment.
    """

    code: int = -1
    lines: list[str] = field(default_factory=list)
    download: float = 0.0
    installation: float = 0.0
    changed: bool = False

    def match_of(self, pattern: re.Pattern[str]) -> str:
        """The first match of the pattern in the output, or an empty string."""
        return next((found[0] for found in map(pattern.search, self.lines) if found), "")

    def reason(self) -> str:
        """Why it failed: the first error in the output and its cause, or else the last line."""
        lines = [line.strip(" ×╰─▶") for line in self.lines if line.strip()] or [f"exit code {self.code}"]
        errors = [number for number, line in enumerate(lines) if line.lower().startswith("error: ")]
        if not errors:
            return lines[-1]
        first = errors[0]
        cause = [line for line in lines[first + 1 : first + 2] if line.startswith("cause: ")]
        return "; ".join([lines[first].partition(": ")[2], *cause])


def run(command: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> Outcome:
    """Run a command in a folder until it ends. Large downloads are printed when they start.

    If this function is interrupted, the command and all its child processes are ended.
    """
    outcome, began = Outcome(), time.monotonic()
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        # So that one signal ends the command and all that it has started.
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            outcome.lines.append(line.rstrip())
            if _LARGE_DOWNLOAD.match(line):
                print(f"  {line.strip()}", flush=True)
            if not outcome.changed and _INSTALLING.match(line.strip()):
                outcome.changed, outcome.download = True, time.monotonic() - began
        outcome.code = child.wait()
    except BaseException:
        _end(child)
        raise
    took = time.monotonic() - began
    outcome.download = outcome.download or took
    outcome.installation = took - outcome.download
    return outcome


def _end(child: subprocess.Popen[Any]) -> None:
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(_GRACE)
    except (subprocess.TimeoutExpired, ProcessLookupError, Interrupted):
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
