"""What the decoder says of files, asked in processes of their own: a file that kills one kills nothing else.

``python -m tests.faults.hostile.verdicts FOLDER`` is such a process: a line of JSON per file, in the order of their
names.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.images.pictures import noise, saved

ROOT = Path(__file__).parents[3]
# Beyond what a process holds that has decoded nothing: a decoder that allocates without bounds fails, not the machine.
BUDGET_BYTES = 2 * 2**30
# glibc gives freed memory back at once, or a later file would use what an earlier one has cost.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
PHOTOGRAPH_SIDE = 2000


@dataclass(frozen=True)
class Verdict:
    """Of one file.

    Attributes:
        kind: ``image``, or the name of the exception; ``killed`` where the process died or hung.
        stage: the DataError's.
        reason: the error's line; for an image its format.
        width: in pixels; 0 where there is no image.
        height: in pixels.
        grown: how many bytes more than before the process held at its peak.
    """

    kind: str
    stage: str = ""
    reason: str = ""
    width: int = 0
    height: int = 0
    grown: int = 0


def verdicts(
    files: dict[str, bytes], *, seconds: float = 120, limits: tuple[int, int] | None = None
) -> tuple[dict[str, Verdict], str]:
    """The verdict on each file, and what the decoder printed meanwhile.

    Args:
        files: by name.
        seconds: that all files of one process may take.
        limits: the decoder's bytes and pixels; None for its own.
    """
    found: dict[str, Verdict] = {}
    printed = ""
    names = sorted(files)
    with tempfile.TemporaryDirectory() as folder:
        # The names of files may be any text.
        for i, name in enumerate(names):
            Path(folder, f"{i:06d}").write_bytes(files[name])
        while len(found) < len(names):
            lines, more = _ask(folder, len(found), seconds, limits)
            printed += more
            for line in lines:
                found[names[len(found)]] = Verdict(**line)
            if len(found) < len(names):
                found[names[len(found)]] = Verdict("killed")
    return found, printed


@functools.cache
def photograph_cost() -> int:
    """What a harmless image costs on this machine: a photograph of four megapixels, in bytes at its peak."""
    photograph = saved(noise(1, PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE), "BMP")
    found, _ = verdicts({str(i): photograph for i in range(3)})
    return min(verdict.grown for verdict in found.values())


def too_dear(
    files: dict[str, bytes], found: dict[str, Verdict], most: Callable[[str], float]
) -> dict[str, int]:
    """What those files held that hold more bytes than they may, each of three times that they are measured.

    Args:
        files: by name.
        found: the verdicts on them, which are the first measurement.
        most: bytes that the file of this name may hold.
    """
    grown = {name: verdict.grown for name, verdict in found.items()}
    for _ in range(2):
        grown = {name: size for name, size in grown.items() if size > most(name)}
        if grown:
            again, _ = verdicts({name: files[name] for name in grown})
            grown = {name: min(size, again[name].grown) for name, size in grown.items()}
    return {name: size for name, size in grown.items() if size > most(name)}


def _ask(
    folder: str, first: int, seconds: float, limits: tuple[int, int] | None
) -> tuple[list[dict[str, str | int]], str]:
    environment = os.environ | ENVIRONMENT
    command = [
        sys.executable,
        "-m",
        "tests.faults.hostile.verdicts",
        folder,
        str(first),
        *map(str, limits or ()),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, cwd=ROOT, env=environment)
        out, printed = done.stdout, done.stderr
    except subprocess.TimeoutExpired as expired:
        out, printed = expired.stdout or b"", expired.stderr or b""
    whole = out[: out.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], printed.decode(errors="replace")


def _judge(folder: Path, first: int, limits: tuple[int, ...]) -> Iterator[Verdict]:
    from attgan.data import codec
    from attgan.errors import DataError

    allowed = codec.Limits(*limits) if limits else codec.Limits()
    _decode_something()
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + BUDGET_BYTES,) * 2)
    for path in sorted(folder.iterdir())[first:]:
        data = path.read_bytes()
        held = _forget_peak()
        try:
            image = codec.decode(data, allowed)
            height, width = image.pixels.shape[:2]
            verdict = Verdict("image", "", image.format, width, height)
        except DataError as error:
            verdict = Verdict("DataError", error.stage, error.reason)
        # Whatever else there is, is what is looked for.
        except BaseException as error:
            verdict = Verdict(type(error).__name__, "", repr(error)[:300])
        yield replace(verdict, grown=_memory("VmHWM") - held)


def _decode_something() -> None:
    """So that what the first image of a kind loads once is not laid to a file's account."""
    from attgan.data import codec
    from attgan.errors import DataError
    from tests.faults.hostile.good import good_files

    for data in (*good_files().values(), b"no image"):
        try:
            codec.decode(data)
        except DataError:
            continue


def _forget_peak() -> int:
    """Let the kernel measure the peak anew (its ru_maxrss would begin with the parent's); what is held, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    for verdict in _judge(Path(sys.argv[1]), int(sys.argv[2]), tuple(map(int, sys.argv[3:]))):
        print(json.dumps(vars(verdict)), flush=True)
