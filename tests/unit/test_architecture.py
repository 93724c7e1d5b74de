"""The arrows between the rooms, held by reading every import statement."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What no module of a package may import.
FORBIDDEN = {
    "attgan": {"prefect", "prefect_ray", "ray", "boto3", "botocore", "obstore", "flows", "infra", "tests"},
    "flows": {"infra", "tests"},
    "infra": {"attgan", "flows", "tests"},
}

# What each room of the library may import of the others; arrows run down only.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "attributes": {"errors"},
    "default_bundle": set(),  # data alone
    "models": {"attributes", "errors"},
    "losses": {"attributes", "errors"},
    "strategies": {"attributes", "errors"},
    "data": {"models", "attributes", "errors"},
    "editing": {"data", "models", "attributes", "errors"},
    "evaluation": {"editing", "data", "models", "attributes", "errors"},
    "glasses": {"data", "models", "attributes", "errors"},
    "training": {
        "glasses",
        "evaluation",
        "editing",
        "data",
        "models",
        "losses",
        "strategies",
        "attributes",
        "errors",
    },
}


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


def broken_arrows(source: str, module: str) -> list[str]:
    package, *rest = module.split(".")
    broken = []
    for name in imported(source, module):
        top, *below = name.split(".")
        if top in FORBIDDEN[package]:
            broken.append(f"{module} imports {name}")
        elif package == top == "attgan" and below and rest:
            room = rest[0]
            if below[0] != room and below[0] not in ROOMS.get(room, set()):
                broken.append(f"{module} imports {name}")
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


def test_every_room_of_the_library_has_its_arrows_written_down():
    rooms = {path.stem for path in (ROOT / "attgan").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} <= set(ROOMS)


def test_the_rooms_form_no_circle():
    left = dict(ROOMS)
    while left:
        free = {room for room, below in left.items() if not below & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {room: below for room, below in left.items() if room not in free}


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
    edit = [module_name(path) for path in (ROOT / "flows" / "edit").glob("*.py")]
    loaded = reached(edit)
    assert "attgan.editing.photo" in loaded
    assert not {name for name in loaded if name.startswith("attgan.glasses")}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("attgan.editing.photo", "from attgan.glasses import put_on"),
        ("attgan.evaluation.judge", "from attgan import glasses"),
        ("attgan.glasses.wearing", "from attgan.editing import photo"),
        ("attgan.models.bundle", "import ray"),
        ("attgan.models.bundle", "import ray.tune as tune"),
        ("attgan.models.bundle", "from boto3.session import Session"),
        ("attgan.models.bundle", "def late():\n    import prefect"),
        ("attgan.models.bundle", "import importlib\nimportlib.import_module('obstore.store')"),
        ("attgan.models.bundle", "from attgan import data"),
        ("attgan.models.bundle", "from ..data import codec"),
        ("attgan.models.bundle", "from .. import editing"),
        ("attgan.attributes", "import attgan.models.generator"),
        ("attgan.editing.editor", "from attgan.evaluation import judge"),
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
        ("attgan.evaluation.judge", "from attgan.editing.editor import edit"),
        ("flows.cli", "import prefect, ray\nfrom attgan.models import load_bundle"),
        ("infra.local.stack", "import subprocess"),
    ],
)
def test_an_arrow_that_runs_down_passes(module, source):
    assert not broken_arrows(source, module)
