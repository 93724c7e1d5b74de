"""The child process of :mod:`flows.edit.child`: ``python -m flows.edit.isolated SOCKET PARENT``.

Told which shard, it loads the model and says that it is ready; then it edits those of the shard's inputs that it is
told to, and answers with their rows. It lives no longer than its parent, leaves no core file, is what the kernel ends
first where memory is short, and has limits of its own on CPU time and memory, which the kernel watches: code that loops
for ever need not let Python have a say.
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
from flows.edit.cpu_limit import cpu_seconds, limit_cpu
from flows.edit.shard import Shard, open_shard
from flows.edit.streaming import stream, warm_up
from flows.runtime.stages import set_torch_threads
from flows.settings import EditSettings
from flows.storage import StorageError

_PR_SET_PDEATHSIG = 1  # Linux's prctl
# What one image may take: to be decoded (see Limits), then to have its face put back and to be encoded.
_PER_PIXEL, _PER_BYTE = 28 + 12, 6
# Beside it: what other images of the batch hold, the threads' stacks, and what libraries keep.
_SPARE_BYTES = 2 * 2**30
# How many times as much CPU time as the pass through the network that was measured one may take.
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
            set_torch_threads(max(1, int(settings.cpus_per_shard)))
            warm_up(shard.run.settings, shard.run.made_of["bundle"])
            before = cpu_seconds()
            warm_up(shard.run.settings, shard.run.made_of["bundle"])
            forward = _SLOWER * (cpu_seconds() - before)
            if not settings.gpus_per_shard:  # CUDA maps as it likes
                image = _PER_PIXEL * settings.max_pixels + _PER_BYTE * settings.max_bytes
                _limit_memory(_SPARE_BYTES + image)
            _send(connection, {"ready": True})
            while True:
                order = _receive(connection)
                limit_cpu(order["cpu_seconds"] + forward)
                _send(connection, _edit(shard, order["edit"]))
        except EOFError:
            return
        except MemoryError:
            _send(connection, {"out_of_memory": True})
        except StorageError as error:
            _send(connection, {"storage_error": str(error)})
        except UserError as error:
            _send(connection, {"user_error": [error.code, error.line]})
        except Exception as error:
            traceback.print_exc()
            _send(connection, {"error": f"{type(error).__name__}: {error}"})


def _edit(shard: Shard, indexes: list[int]) -> dict[str, Any]:
    items = [shard.items[index] for index in indexes]
    stages = asyncio.run(stream(shard.run, items))
    return {
        "items": [{"row": asdict(item.row), "found": item.found} for item in items],
        "seconds": {stage.name: stage.seconds for stage in stages},
    }


def _receive(connection: Connection) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(connection.recv_bytes())
    return order


def _send(connection: Connection, answer: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone, and the next message is the end of all
        connection.send_bytes(json.dumps(answer).encode())


def _die_with(parent: int) -> None:
    """Have Linux kill this process when the thread that started it ends; elsewhere its closed socket does, later."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _be_expendable() -> None:
    faulthandler.enable()  # tells the log where it crashed
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit_memory(more: int) -> None:
    """Let this process have so many bytes more than it has now and than it had at most; then it is out of memory."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return  # elsewhere than on Linux such a limit does not hold
    now = int(status.split("VmData:")[1].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + peak + more
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
