"""Installs the pinned versions into `.venv` unless they are there: `python3 -m infra.install [--dev] [--python NAME]`.

pip installs uv, and uv installs the rest with pip's configuration. If uv cannot be used, pip installs everything. This
file runs before anything is installed, on any Python 3.7 or newer, so it uses only the standard library and old syntax.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from infra import signals
from infra.command import NO_ANSWER, NO_SPACE, Outcome, run
from infra.errors import InstallError, Interrupted, RefusedError, StackError
from infra.pip_settings import pip_options, unknown_to_uv, uv_variables

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
NEEDED_SPACE = "about 7 GB are needed"


class _NoUv(Exception):
    """uv cannot be used; the message is the reason."""


def main(arguments: list[str]) -> int:
    """Install what is missing. Returns 0, 1 (failed), 2 (refused), or 128 + the signal that ended it."""
    signals.interruptible()
    try:
        with _install_lock():
            install(
                ROOT / ".venv",
                dev="--dev" in arguments,
                python=arguments[arguments.index("--python") + 1] if "--python" in arguments else None,
            )
    except StackError as error:
        _say(f"error: {error}")
        return error.exit_code
    except OSError as error:
        _say(f"error: {error.filename or ROOT}: {error.strerror or error}")
        return 1
    except Interrupted as interruption:
        _say("interrupted: the installation was stopped; the next `make` starts it again")
        return interruption.exit_code
    return 0


def install(folder: Path, dev: bool, python: str | None) -> None:
    """Bring the environment in `folder` up to date with the pinned versions. A missing or broken one is created.

    Args:
        folder: of the environment.
        dev: whether to install the development extra, too.
        python: the interpreter that the user named, if any. An environment of another version is then refused.

    Raises: InstallError if the installation fails; RefusedError if this Python cannot be used.
    """
    usable = _is_usable(folder, python)
    state = f"{folder}\n{wanted_digest()}\n"
    ready = [folder / ".ready", folder / ".ready-dev"]
    if usable and any(_read(stamp) == state for stamp in ready[dev:]):
        return
    if not usable:
        _require_venv(python or "python3")
    _say(
        f"bringing {folder.name} up to date with pyproject.toml and infra/constraints.txt"
        if usable
        else f"installing the pinned versions into {folder.name} (a minute or more, the first time)"
    )
    began = time.monotonic()
    folder.mkdir(exist_ok=True)
    # If this process is killed from here on, the next one finds this file and does not trust the environment.
    unfinished = folder / ".unfinished"
    unfinished.touch()
    interpreter = str(folder / "bin" / "python")
    if not usable:
        _check(run([sys.executable, "-m", "venv", str(folder)], ROOT), folder)
    elif subprocess.run([interpreter, "-I", "-c", "import pip"], stderr=subprocess.DEVNULL).returncode:
        _check(run([interpreter, "-I", "-m", "ensurepip"], ROOT), folder)
    pip = [interpreter, "-m", "pip", "--no-input", "--disable-pip-version-check"]
    target = ["-c", "infra/constraints.txt", "-e", ".[dev]" if dev else "."]
    try:
        settings = _install_uv(pip, folder)
        prepared, tool = time.monotonic() - began, "uv"
        command = [str(folder / "bin" / "uv"), "pip", "install", "--python", interpreter, *target]
        outcome = run(command, ROOT, settings)
        if outcome.code and not outcome.changed and not outcome.match_of(NO_SPACE):
            raise _NoUv(outcome.reason())
    except _NoUv as error:
        _say(f"installing with pip, which takes some minutes, because uv cannot be used: {error}")
        prepared = time.monotonic() - began
        # Without PIP_QUIET=0 a user's setting could hide the output that progress is read from.
        tool, outcome = "pip", run([*pip, "install", *target], ROOT, {"PIP_QUIET": "0"})
    if usable and not outcome.changed and not outcome.match_of(NO_SPACE):
        unfinished.unlink(missing_ok=True)
    _check(outcome, folder)
    for stamp in ready[: 1 + dev]:
        stamp.write_text(state)
    unfinished.unlink(missing_ok=True)
    _say(
        f"installed with {tool}: {prepared:.1f} s to begin, {outcome.download:.1f} s of download, "
        f"{outcome.installation:.1f} s of installation"
    )


def wanted_digest() -> str:
    """The sha256 of the files that determine an environment."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "infra/constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _install_uv(pip: list[str], folder: Path) -> dict[str, str]:
    """Install uv with pip, and return the environment variables for it.

    Raises: _NoUv if pip has to be used instead; InstallError if pip cannot install anything either.
    """
    options = pip_options(run([*pip, "config", "list"], ROOT).lines)
    unknown = unknown_to_uv(options)
    if unknown:
        raise _NoUv(f"pip is configured with {', '.join(unknown)}, which uv does not support")
    brought = run([*pip, "install", "-c", "infra/constraints.txt", "uv"], ROOT)
    if brought.code and not brought.match_of(NO_ANSWER) and not brought.match_of(NO_SPACE):
        raise _NoUv(brought.reason())
    _check(brought, folder)
    return uv_variables(options)


def _is_usable(folder: Path, python: str | None) -> bool:
    """Whether the environment in `folder` can be used. A broken one is removed.

    Raises: RefusedError if it works, but has another version of Python than the user or the project wants.
    """
    if not folder.exists():
        return False
    version = _version(folder)
    made_in = (_read(folder / ".ready") or str(folder)).splitlines()[0]
    broken = ""
    if (folder / ".unfinished").exists():
        broken = "its installation was interrupted"
    elif version is None:
        broken = "its Python is gone, or is not the one that it was created with"
    elif made_in != str(folder):
        broken = f"it was created in {made_in}"
    if broken or version is None:
        _say(f"{folder.name} is created again: {broken}")
        shutil.rmtree(folder, ignore_errors=True)
        return False
    if version < OLDEST or (python and version != sys.version_info[:2]):
        wanted = (
            f"PYTHON={python} is {_dotted(sys.version_info[:2])}" if python else "3.11 or newer is needed"
        )
        raise RefusedError(
            "environment-of-other-python",
            f"{folder}: has Python {_dotted(version)}, and {wanted}; `make clean` removes it",
        )
    return True


def _require_venv(python: str) -> None:
    """Raises: RefusedError if this Python cannot create the environment."""
    if sys.version_info < OLDEST:
        raise RefusedError("python-too-old", f"PYTHON={python}: Python 3.11 or newer is needed")
    if not (find_spec("venv") and find_spec("ensurepip")):
        raise RefusedError(
            "venv-module-missing",
            f"PYTHON={python}: has no venv module (on Debian: apt install python3-venv)",
        )


def _version(folder: Path) -> tuple[int, ...] | None:
    """The version of the Python in `folder`; None if it does not run, or did not create the environment."""
    code = "import sys; print(*sys.version_info[:2], sep='.')"
    try:
        answer = subprocess.run(
            [str(folder / "bin" / "python"), "-I", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    made_with = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", _read(folder / "pyvenv.cfg"), re.MULTILINE)
    version = answer.stdout.decode().strip()
    if answer.returncode or (made_with and made_with[1] != version):
        return None
    return tuple(map(int, version.split(".")))


def _check(outcome: Outcome, folder: Path) -> None:
    """Check the outcome of a step. An incomplete environment is removed after a failure, because it may fill the disk.

    Raises: InstallError if the step has failed.
    """
    if outcome.code == 0:
        return
    free = shutil.disk_usage(folder).free
    if (folder / ".unfinished").exists():
        shutil.rmtree(folder, ignore_errors=True)
    if outcome.match_of(NO_SPACE) or free < 1 << 20:
        raise InstallError(f"{folder}: no space is left there or in the cache of pip or uv; {NEEDED_SPACE}")
    if outcome.match_of(NO_ANSWER):
        words = outcome.match_of(NO_ANSWER)
        raise InstallError(
            f"the package index does not answer: {words} (`pip config list` shows which it is)"
        )
    raise InstallError(f"{folder}: {outcome.reason()}")


@contextlib.contextmanager
def _install_lock() -> Iterator[None]:
    """Hold a lock, so that only one process installs here."""
    with (ROOT / "pyproject.toml").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another `make` is installing here: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
