"""What a stack has left behind, sought without the code that is tested (but for the record of the stack)."""

import json
import os
from pathlib import Path

import psutil

from infra.ports import is_free


def record(folder: Path) -> dict:
    """The record of a stack that is being started or up."""
    return json.loads((folder / "state.json").read_text())


def processes_of(mark: str) -> list[psutil.Process]:
    """Running processes whose environment carries the stack's mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.stat().st_uid == os.getuid() and mark.encode() in (path / "environ").read_bytes():
                found.append(psutil.Process(int(path.name)))
        except (OSError, psutil.Error):
            continue
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def leftovers(state: dict) -> list[str]:
    """A line for each process, port, file and record that is still there."""
    folder, scratch = Path(state["folder"]), str(state["scratch"])
    found = [f"process {process}" for process in processes_of(state["mark"])]
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if scratch in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"process {process}: {words[:100]}")
    found += [f"port {name} {port}" for name, port in state["ports"].items() if not is_free(port)]
    found += [str(path) for path in Path("/tmp").glob("seaweedfs-*.sock") if _is_ours(path, state["ports"])]
    found += [str(path) for path in (Path(scratch), folder / "env", folder / "state.json") if path.exists()]
    return found


def _is_ours(path: Path, ports: dict[str, int]) -> bool:
    """Whether SeaweedFS made this socket, ``seaweedfs-NAME-PORT.sock``, beside a port that this stack has by that name.

    Another program's socket may bear the number of a port that this stack has for something else.
    """
    name, port = path.stem.removeprefix("seaweedfs-").rsplit("-", 1)
    return str(ports.get(name)) == port
