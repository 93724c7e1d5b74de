"""A child process that edits some of a shard's inputs on request, and whose death is a normal answer.

It is a new Python process, not a fork, because this process has threads. Both ends exchange JSON over a pair of sockets
of their own, so that nothing a library prints can disturb them. :mod:`flows.edit.shard.isolated` is the other end.
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

# Time for a process to exit after it has closed its socket, in seconds.
_EXIT_SECONDS = 30.0


class IsolationError(Exception):
    """A child process ended for another reason than an image. The message is one line."""


@dataclass(frozen=True)
class Death:
    """A child process died. ``reason`` is one line for the image's row, ``hung`` whether it had to be killed."""

    reason: str
    hung: bool = False


@dataclass(frozen=True)
class Child:
    """A child process and this end of its sockets."""

    process: subprocess.Popen[bytes]
    connection: Connection

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any] | Death:
        """Send a message and wait for the answer or the process's death, for ``seconds`` at most.

        Raises:
            StorageError: the storage failed in the child, after its retries.
            UserError: the child refused.
            IsolationError: the child ended with another error. Its traceback is in standard error.
        """
        try:
            self.connection.send_bytes(json.dumps(message).encode())
            if not self.connection.poll(seconds):
                self.end()
                return Death(
                    f"the process that edited it did not answer for {seconds / 60:g} minutes", hung=True
                )
            answer: dict[str, Any] = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_EXIT_SECONDS)
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
        """Kill the process if it is still running. One that waits for a dead mount may end later."""
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_SECONDS)
        self.connection.close()


def start_child() -> Child:
    """Start a child process. It ends at the latest when the calling thread ends."""
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.edit.shard.isolated", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # Ray may have sent the code to this process, so the child needs the same search path.
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
