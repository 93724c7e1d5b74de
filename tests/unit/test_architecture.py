"""The arrows between the rooms, held by reading every import statement and every path to another package.

``python -m tests.unit.test_architecture`` prints the rooms, their arrows as they are, and the files of each folder.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What no module of a package may import, or read by a path of its own.
FORBIDDEN = {
    "attgan": {"prefect", "prefect_ray", "ray", "boto3", "botocore", "obstore", "flows", "infra", "tests"},
    "flows": {"infra", "tests"},
    "infra": {"attgan", "flows", "tests"},
}

_BASE = {"attributes", "errors", "randomness", "version"}
_DATA = {"data", "models", *_BASE}
_EDITING = {"editing", "detection", *_DATA}
# What a step of work needs, whichever it is.
_GROUND = {"runtime", "storage", "settings", "urls", "words"}
_STEPS = {"evaluation", "sweep", "training", "dataset", "edit", *_GROUND}

# What each room of a package may import of the others; arrows run down only.
ROOMS: dict[str, dict[str, set[str]]] = {
    "attgan": {
        "errors": set(),
        "version": set(),
        "randomness": set(),
        "attributes": {"errors"},
        # Data alone.
        "default_bundle": set(),
        "models": _BASE,
        "data": _DATA - {"data"},
        "detection": _DATA,
        "editing": _EDITING - {"editing"},
        "glasses": _DATA,
        "drawn_faces": {"glasses", *_DATA},
        # Drawn faces come with the truth: the same face with and without an attribute, and where it shows.
        "evaluation": {"drawn_faces", *_EDITING},
        "training": {"glasses", "evaluation", *_EDITING},
    },
    "flows": {
        "urls": set(),
        "words": set(),
        "settings": {"urls"},
        "storage": {"urls"},
        "runtime": _GROUND - {"runtime"},
        "dataset": _GROUND,
        "edit": _GROUND,
        "training": {"dataset", "edit", *_GROUND},
        "sweep": {"training", "dataset", "edit", *_GROUND},
        "evaluation": _STEPS - {"evaluation"},
        "deploy": _STEPS,
        "demo": _STEPS,
        "bench": _STEPS,
        "operate": _STEPS,
        "pipeline": _STEPS,
        "cli": {"deploy", "demo", "bench", "operate", "pipeline", *_STEPS},
        # The former places of four flows, for deployments that an earlier version registered.
        "subset": {"dataset"},
        "align": {"training"},
        "train": {"training"},
        "classifier": {"training"},
    },
}

# More files in a folder than this, and nobody finds anything.
MOST_FILES = 16


def imported(source: str, module: str) -> Iterator[str]:
    """Dotted names that a module imports, anywhere in it, relative ones resolved, literal import calls too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"}:
                yield str(node.args[0].value)


def paths_out(source: str, module: str) -> Iterator[str]:
    """What leads a module out of its package by a path: ``Path(__file__).parents[2]``, ``folder / "infra"``."""
    package, *rest = module.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and getattr(node.value, "attr", "") == "parents":
            climbed = node.slice.value if isinstance(node.slice, ast.Constant) else len(rest)
            # ``parents[0]`` of ``flows.deploy.deployments`` is ``flows/deploy``, and ``parents[2]`` the repository.
            if climbed >= len(rest):
                yield f"parents[{climbed}]"
            continue
        parts: list[ast.expr] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.right]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            parts = node.args if called in {"Path", "files", "joinpath"} else []
        named = (part.value for part in parts if isinstance(part, ast.Constant))
        yield from (
            name
            for name in named
            if isinstance(name, str) and name.split("/")[0].split(".")[0] in FORBIDDEN[package]
        )


def broken_arrows(source: str, module: str) -> list[str]:
    package, *rest = module.split(".")
    rooms = ROOMS.get(package, {})
    broken = []
    for name in imported(source, module):
        top, *below = name.split(".")
        if top in FORBIDDEN[package]:
            broken.append(f"{module} imports {name}")
        elif package == top and rooms and below and rest:
            room = rest[0]
            if below[0] in rooms and below[0] != room and below[0] not in rooms.get(room, set()):
                broken.append(f"{module} imports {name}")
    # infra installs and starts the repository that it lies in.
    if package != "infra":
        broken += [f"{module} reads {path}" for path in paths_out(source, module)]
    return broken


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    # A package's own file counts as a module in it, so that a single dot means the package.
    return ".".join(parts)


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_arrows_run_down_only(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"no files in {package}"
    broken = [line for path in files for line in broken_arrows(path.read_text(), module_name(path))]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_every_room_has_its_arrows_written_down(package):
    assert rooms_of(package) == set(ROOMS[package])


def rooms_of(package: str) -> set[str]:
    folder = ROOT / package
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.name for path in folder.iterdir() if path.is_dir() and list(files_in(path))}


def files_in(folder: Path) -> Iterator[Path]:
    """The files below a folder that somebody wrote."""
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_the_rooms_form_no_circle(package):
    left = dict(ROOMS[package])
    while left:
        free = {room for room, below in left.items() if not below & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {room: below for room, below in left.items() if room not in free}


def modules_by_folder() -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for package in (*FORBIDDEN, "tests"):
        for path in (ROOT / package).rglob("*.py"):
            counts[str(path.parent.relative_to(ROOT))] += 1
    return dict(sorted(counts.items()))


def test_no_folder_of_the_packages_is_crowded():
    counts = modules_by_folder()
    for folder, count in counts.items():
        print(f"{folder:45} {count:3}")
    crowded = {folder for folder, count in counts.items() if count > MOST_FILES and "tests" not in folder}
    assert not crowded


def reached(start: Iterable[str]) -> set[str]:
    """The project's modules that importing some loads, with all that those import anywhere in them."""
    files = {module_name(path): path for package in FORBIDDEN for path in (ROOT / package).rglob("*.py")}
    found: set[str] = set()
    left = list(start)
    while left:
        name = left.pop()
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            parent = ".".join(parts[:end])
            # What is imported from a package may be a module of it, and a package is its __init__.
            for module in (parent, f"{parent}.__init__"):
                if module in files and module not in found:
                    found.add(module)
                    source = files[module].read_text()
                    left += imported(source, module)
                    left += _members(source, module)
    return found


def _members(source: str, module: str) -> Iterator[str]:
    """``from a import b`` may import the module ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_what_edit_runs_never_imports_the_renderer():
    edit = [module_name(path) for path in (ROOT / "flows" / "edit").rglob("*.py")]
    loaded = reached(edit)
    assert "attgan.editing.change" in loaded
    assert not {name for name in loaded if name.startswith("attgan.glasses")}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("attgan.editing.change", "from attgan.glasses import put_on"),
        ("attgan.evaluation.evaluator", "from attgan import glasses"),
        ("attgan.glasses.rendering", "from attgan.editing import placement"),
        ("attgan.models.bundle", "import ray"),
        ("attgan.models.bundle", "import ray.data as data"),
        ("attgan.models.bundle", "from boto3.session import Session"),
        ("attgan.models.bundle", "def late():\n    import prefect"),
        ("attgan.models.bundle", "import importlib\nimportlib.import_module('obstore.store')"),
        ("attgan.models.bundle", "from attgan import data"),
        ("attgan.models.bundle", "from ..data import codec"),
        ("attgan.models.bundle", "from .. import editing"),
        ("attgan.attributes", "import attgan.models.generator"),
        ("attgan.editing.editor", "from attgan.evaluation import evaluator"),
        ("attgan.data.loading.loader", "from attgan.training.trainer import train"),
        ("attgan.models.bundle", "from flows.storage import open_store"),
        ("flows.cli", "from infra import stack"),
        ("flows.cli", "import tests.benchmarks"),
        ("infra.local.stack", "from attgan.errors import UserError"),
        ("infra.local.stack", "import flows.storage"),
    ],
)
def test_a_broken_arrow_is_seen(module, source):
    assert broken_arrows(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("attgan.models.bundle", "import torch\nfrom attgan.attributes import CELEBA"),
        ("attgan.models.bundle", "from .generator import Generator"),
        ("attgan.models.__init__", "from .generator import Generator"),
        ("attgan.evaluation.evaluator", "from attgan.editing.editor import edit"),
        ("flows.cli", "import prefect, ray\nfrom attgan.models import load_bundle"),
        ("infra.local.stack", "import subprocess"),
    ],
)
def test_an_arrow_that_runs_down_passes(module, source):
    assert not broken_arrows(source, module)


def show() -> None:
    """Print each room with the rooms that it does import, and each folder with the number of its modules."""
    for package, rooms in ROOMS.items():
        for room in rooms:
            folder = ROOT / package / room
            paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
            names = {
                name
                for path in paths
                if path.exists()
                for name in imported(path.read_text(), module_name(path))
            }
            used = {name.split(".")[1] for name in names if name.startswith(f"{package}.")}
            print(f"{package}.{room} → {', '.join(sorted(used & set(rooms) - {room})) or '-'}")
    for name, count in modules_by_folder().items():
        print(f"{name:45} {count:3}")


if __name__ == "__main__":
    show()
