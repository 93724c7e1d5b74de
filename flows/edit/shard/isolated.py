"""The child process of :mod:`flows.edit.shard.child`: ``python -m flows.edit.shard.isolated SOCKET PARENT``.

It receives the shard, loads the model and reports that it is ready. Then it receives numbers of inputs, edits those,
and answers with their rows; or it receives one that it only reads.

It ends with its parent, leaves no core file, and is the first process that the kernel kills when memory runs out. Its
limits on CPU time and memory are enforced by the kernel, because native code in an endless loop never returns to
Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attgan.errors import UserError
from flows.edit.shard.model import warm_up
from flows.edit.shard.one_shard import Shard, open_shard
from flows.edit.shard.streaming import stream
from flows.runtime.stages import set_torch_threads
from flows.settings import EditSettings
from flows.storage import ObjectRefused, StorageError, denials

# An option of Linux's prctl().
_PR_SET_PDEATHSIG = 1
# Memory for one image, in bytes per pixel and per encoded byte: to decode it (see Limits), to put faces back into
# it and to encode it.
_PER_PIXEL, _PER_BYTE = 28 + 12, 6
# Memory besides: for other images of the batch, stacks of threads, and caches of libraries.
_SPARE_BYTES = 2 * 2**30
# A pass through the network may take this many times the CPU time that was measured at the start.
_SLOWER = 10


def main(socket: int, parent: int) -> None:
    """Serve the parent at the other end of this socket until it closes it."""
    _die_with(parent)
    _be_expendable()
    with Connection(socket) as connection:
        try:
            order = _receive(connection)
            settings = EditSettings.model_validate(order["settings"])
            shard = open_shard(order["run_url"], order["shard"], settings, order["generation"])
            set_torch_threads(shard.job.cpus)
            warm_up(shard.job.model)
            before = _cpu_seconds()
            warm_up(shard.job.model)
            forward = _SLOWER * (_cpu_seconds() - before)
            # CUDA reserves huge address ranges, so the memory limit only works without a GPU.
            if not shard.job.model.on_gpu:
                limits = shard.job.limits
                image = _PER_PIXEL * limits.max_pixels + _PER_BYTE * limits.max_bytes
                _limit_memory(_SPARE_BYTES + image)
            _send(connection, {"ready": True})
            while True:
                order = _receive(connection)
                if "read" in order:
                    _read(shard, order["read"])
                    _send(connection, {"read": True})
                else:
                    _limit_cpu(order["cpu_seconds"] + forward)
                    _send(connection, _edit(shard, order["edit"]))
        except EOFError:
            return
        except MemoryError:
            _send(connection, {"out_of_memory": True})
        # Before StorageError, because refused credentials are both.
        except UserError as error:
            _send(connection, {"user_error": [error.code, error.line]})
        except StorageError as error:
            _send(connection, {"storage_error": str(error)})
        except Exception as error:
            traceback.print_exc()
            _send(connection, {"error": f"{type(error).__name__}: {error}"})


def _edit(shard: Shard, indexes: list[int]) -> dict[str, Any]:
    items = [shard.items[index] for index in indexes]
    stages = asyncio.run(stream(shard.job, items))
    return {
        "items": [{"row": asdict(item.row), "found": item.found} for item in items],
        "seconds": {stage.name: stage.seconds for stage in stages},
    }


def _read(shard: Shard, index: int) -> None:
    with contextlib.suppress(FileNotFoundError, ObjectRefused):
        denials.get(shard.job.source, shard.items[index].row.key)


def _receive(connection: Connection) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(connection.recv_bytes())
    return order


def _send(connection: Connection, answer: Mapping[str, Any]) -> None:
    # If the parent is gone, the next receive ends this process.
    with contextlib.suppress(BrokenPipeError):
        connection.send_bytes(json.dumps(answer).encode())


def _die_with(parent: int) -> None:
    """Let Linux kill this process when the thread that started it ends. Elsewhere the closed socket ends it, later."""
    # Ctrl-C is handled by the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _be_expendable() -> None:
    # Writes to standard error where a crash happened.
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit_cpu(seconds: float) -> None:
    """Let the kernel kill this process (SIGXCPU) after so much more CPU time, counted over all its threads."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(_cpu_seconds() + seconds) + 1
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _cpu_seconds() -> float:
    """CPU time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _limit_memory(more: int) -> None:
    """Limit this process to ``more`` bytes above what it has mapped now plus its peak use so far."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        # Only Linux enforces such a limit.
        return
    now = int(status.split("VmData:")[1].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + peak + more
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
