"""A folder with all that ``tests.benchmarks.gpu`` needs on a machine without a network: code, data, wheels."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from attgan.data import codec
from attgan.data.codec import Decoded
from attgan.errors import UserError
from flows.bench.faces import drawn_faces, put_files
from flows.storage import open_store
from tests.benchmarks.finding import crowd
from tests.support.data.drawn_dataset import write_drawn_dataset

ROOT = Path(__file__).parents[2]
CODE = (
    "attgan",
    "flows",
    "tests/benchmarks",
    "tests/support/data/drawn_dataset.py",
    "tests/support/images/scenes.py",
)
SOURCES = ("faces", "photographs")
DATASET = "dataset"
# Bytes of the whole folder.
LARGEST = 50_000_000
# What the machine has, with what that needs.
BROUGHT = ("PIL", "numpy", "pyarrow", "safetensors", "torch", "torchvision")
# What else is imported, by the name of its wheel.
WHEELS = {
    "annotated_types": "annotated-types",
    "contourpy": "contourpy",
    "cycler": "cycler",
    "dateutil": "python-dateutil",
    "fontTools": "fonttools",
    "kiwisolver": "kiwisolver",
    "markdown_it": "markdown-it-py",
    "matplotlib": "matplotlib",
    "mdurl": "mdurl",
    "packaging": "packaging",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
    "pygments": "Pygments",
    "pyparsing": "pyparsing",
    "rich": "rich",
    "simplejpeg": "simplejpeg",
    "six": "six",
    "typing_extensions": "typing_extensions",
    "typing_inspection": "typing-inspection",
}
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_RUN = """#!/bin/sh
cd "$(dirname "$0")" && for w in wheels/*.whl; do python3 -m zipfile -e "$w" site; done; \
PYTHONPATH=.:site exec python3 -m tests.benchmarks.gpu --data data "$@"
"""


def make_data(folder: Path, faces: int, photographs: int, rows: int) -> Path:
    """Draw aligned faces and photographs to edit, and a dataset of faces of 128 px to train on."""
    scenes = [crowd(1024, 768, 1 + number % 3) for number in range(min(photographs, 3))]
    drawn = [codec.encode(Decoded(scene, "JPEG")) for scene in scenes]
    files = (drawn_faces(faces), [drawn[number % len(drawn)] for number in range(photographs)])
    for kind, found in zip(SOURCES, files, strict=True):
        put_files(open_store(str(folder / kind)), found)
    write_drawn_dataset(folder / DATASET, rows, size=128)
    return folder


def pack(folder: Path, faces: int = 256, photographs: int = 3, rows: int = 1536) -> str:
    """Fill a folder; returns what is in it, one line.

    Raises:
        UserError: there is something in it already, or it became too large.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError("folder-not-empty", f"--pack {folder}: is not empty")
    for name in CODE:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "test_*"))
        else:
            shutil.copy(source, target)
    # Without it a package of this name among a machine's libraries comes first.
    (folder / "tests" / "__init__.py").touch()
    make_data(folder / "data", faces, photographs, rows)
    wheels = _download(folder / "wheels")
    run = folder / "run.sh"
    run.write_text(_RUN)
    run.chmod(0o755)
    size = size_of(folder)
    if size > LARGEST:
        raise UserError(
            "kit-too-large", f"--pack {folder}: {size / 1e6:.0f} MB, of at most {LARGEST / 1e6:.0f} MB"
        )
    return f"{folder}: {size / 1e6:.1f} MB, {wheels}; there: {run.name} --out FOLDER"


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _download(folder: Path) -> str:
    """Fetch the wheels for Python 3.12, pinned; says what came."""
    folder.mkdir()
    # An environment that uv has made has no pip; the Python below it has.
    python = sys.executable if importlib.util.find_spec("pip") else f"{sys.base_prefix}/bin/python3"
    command = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp", f"--dest={folder}"]
    command += [f"--platform={platform}" for platform in _PLATFORMS]
    command += ["--constraint", str(ROOT / "infra" / "constraints.txt"), *WHEELS.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"without wheels, which could not be fetched ({reason})"
    return f"{len(list(folder.iterdir()))} wheels"
