"""What a stack has left behind, sought without the code that is tested (but for the record of the stack)."""

import json
from pathlib import Path

import psutil

from infra.local.ports import is_free
from tests.support.processes import answers, find_processes


def record(folder: Path) -> dict:
    """The record of a stack that is being started or up."""
    return json.loads((folder / "state.json").read_text())


def processes_of(mark: str) -> list[psutil.Process]:
    """Running processes whose environment carries the stack's mark."""

    def carries(process: psutil.Process) -> bool:
        return mark.encode() in Path(f"/proc/{process.pid}/environ").read_bytes() and _runs(process)

    return find_processes(carries)


def leftovers(state: dict) -> list[str]:
    """A line for each process, port, file and record that is still there."""
    folder, scratch = Path(state["folder"]), str(state["scratch"])
    found = [f"process {process}" for process in processes_of(state["mark"])]
    commands = answers(lambda process: " ".join(process.cmdline()) if _runs(process) else "")
    found += [f"process: {words[:100]}" for words in commands if scratch in words]
    found += [f"port {name} {port}" for name, port in state["ports"].items() if not is_free(port)]
    found += [str(path) for path in Path("/tmp").glob("seaweedfs-*.sock") if _is_ours(path, state["ports"])]
    found += [str(path) for path in (Path(scratch), folder / "env", folder / "state.json") if path.exists()]
    return found


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _is_ours(path: Path, ports: dict[str, int]) -> bool:
    """Whether SeaweedFS made this socket, ``seaweedfs-NAME-PORT.sock``, beside a port that this stack has by that name.

    Another program's socket may bear the number of a port that this stack has for something else.
    """
    name, port = path.stem.removeprefix("seaweedfs-").rsplit("-", 1)
    return str(ports.get(name)) == port
