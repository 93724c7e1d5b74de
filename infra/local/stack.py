"""A local stack and its record on disk.

All files of a stack are in one folder (mode 0700, default `.local/stack`):

    env               the environment of clients, as KEY=value lines (0600)
    state.json        this record (0600)
    lock              held while the stack is started or stopped
    logs/             one file for each service
    prefect/ s3/ ray/ postgresql/
                      data and secrets of each service; worker/ is the worker's directory
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.errors import RefusedError
from infra.local.processes import Process

SERVICES = ("prefect", "s3", "ray")


@dataclass
class Stack:
    """One stack: settings, ports by name, and the processes that were started.

    `scratch` is a folder in the system's temporary folder. Its path is short, because the path of a Unix socket must
    be below 108 characters. `owner` is the process that will stop the stack, if there is one.
    """

    folder: Path
    mark: str
    scratch: Path
    ports: dict[str, int]
    services: tuple[str, ...] = SERVICES
    cpus: int | None = None
    gpus: float | None = None
    object_store_mb: int = 512
    dashboard: bool = True
    owner: Process | None = None
    processes: dict[str, Process] = field(default_factory=dict)
    ready: bool = False

    @property
    def logs(self) -> Path:
        """The folder of log files."""
        return self.folder / "logs"

    def address(self, port: str, scheme: str = "http://") -> str:
        """The address on this machine of the port with this name."""
        return f"{scheme}127.0.0.1:{self.ports[port]}"

    def save(self) -> None:
        """Write the record. It replaces the old one atomically."""
        write_private(self.folder / "state.json", json.dumps(asdict(self), default=str, indent=1))


def new(folder: Path, ports: dict[str, int], services: Sequence[str] = SERVICES, **settings: object) -> Stack:
    """A stack that is not started yet, with a new scratch folder."""
    folder = folder.absolute()
    scratch = Path(tempfile.mkdtemp(prefix="attgan-"))
    stack = Stack(folder, secrets.token_hex(16), scratch, ports, tuple(services), **settings)  # type: ignore[arg-type]
    stack.logs.mkdir(mode=0o700, exist_ok=True)
    return stack


def load(folder: Path) -> Stack | None:
    """The stack recorded in `folder`, or None. Raises: RefusedError if the record is unreadable."""
    path = folder / "state.json"
    try:
        record = json.loads(path.read_text())
        for name in ("folder", "scratch"):
            record[name] = Path(record[name])
        record["services"] = tuple(record["services"])
        record["owner"] = Process(**record["owner"]) if record["owner"] else None
        record["processes"] = {name: Process(**process) for name, process in record["processes"].items()}
        return Stack(**record)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            "stack-record-damaged", f"{path}: is not a record of a stack ({error}); remove the folder"
        ) from None


def forget(stack: Stack) -> None:
    """Remove the files of a stopped stack: the record, the environment of clients, the scratch folder."""
    shutil.rmtree(stack.scratch, ignore_errors=True)
    for name in ("env", "state.json"):
        (stack.folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Create `folder`, mode 0700, and hold its lock. Raises: RefusedError if it is held, unless `wait` is set."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    # Servers do not inherit the lock, and the kernel releases it if this process is killed.
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            raise RefusedError(
                "stack-busy", f"--dir {folder}: another process is starting or stopping this stack"
            ) from None
        yield


def write_private(path: Path, text: str) -> None:
    """Replace `path` atomically by a file that only its owner may read."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
