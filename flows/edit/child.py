"""A child process that edits some of a shard's inputs when told to, and whose death is an answer like any other.

It is a fresh Python, not a fork of this one, which has threads. Both ends speak JSON over a pair of sockets of their
own, which no library prints into; :mod:`flows.edit.isolated` is the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from attgan.errors import UserError
from flows.storage import StorageError

_LAST_BREATH = 30.0  # seconds between a process's last word and its exit code


class IsolationError(Exception):
    """Child processes that end for another reason than an image: one line."""


@dataclass(frozen=True)
class Death:
    """What became of a process that edited an image: ``reason`` is one line, for the image's row."""

    reason: str


@dataclass(frozen=True)
class Child:
    """The process and this end of the sockets."""

    process: subprocess.Popen[bytes]
    connection: Connection

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any] | Death:
        """Send a message and wait for the answer, or for the end of the process, for so long at most.

        Raises:
            StorageError: the storage failed the child, after its retries.
            UserError: it refused.
            IsolationError: it ended with another error; the traceback is in this process's standard error.
        """
        try:
            self.connection.send_bytes(json.dumps(message).encode())
            if not self.connection.poll(seconds):
                self.end()
                return Death(f"the process that edited it gave no sign for {seconds / 60:g} minutes")
            answer: dict[str, Any] = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_LAST_BREATH)
            self.end()
            return _death(self.process.returncode)
        if answer.get("out_of_memory"):
            self.end()
            return Death("the process that edited it ran out of memory")
        if "storage_error" in answer:
            raise StorageError(answer["storage_error"])
        if "user_error" in answer:
            code, line = answer["user_error"]
            raise UserError(code, line)
        if "error" in answer:
            raise IsolationError(answer["error"])
        return answer

    def end(self) -> None:
        """Kill it, if it lives."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


def start_child() -> Child:
    """Start the process. It ends when the thread that called this does, if not before."""
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.edit.isolated", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # It finds modules where this process does, which may have been sent them.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    return Child(process, ours)


def _death(returncode: int) -> Death:
    if returncode >= 0:
        return Death(f"the process that edited it ended with exit code {returncode}")
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    why = {
        "SIGKILL": "; out of memory?",
        "SIGXCPU": "; it had used more CPU time than an image may",
    }
    return Death(f"the process that edited it was killed ({name}){why.get(name, '')}")
