"""Every refusal has a code, and flows/errors.md has a row for each code."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
REFUSALS = {"UserError", "RefusedError"}
TABLE = (ROOT / "flows" / "errors.md").read_text()


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("attgan", "flows", "infra"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def refusals() -> Iterator[tuple[str, ast.Call]]:
    """Where refusals are made, as file and line, and the call."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in REFUSALS:
                yield f"{path}:{node.lineno}", node


def literals(node: ast.expr) -> set[str]:
    """The codes that an argument may be; none for a code that is another refusal's, or a parameter."""
    found = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return {value for value in found if isinstance(value, str)}


def rows() -> list[str]:
    return [row[1] for row in ROW.finditer(TABLE)]


def test_every_refusal_has_a_code_and_a_line() -> None:
    assert [place for place, call in refusals() if len(call.args) != 2] == []


def test_codes_are_words_joined_by_hyphens() -> None:
    used = {code for _, call in refusals() if len(call.args) == 2 for code in literals(call.args[0])}
    assert [code for code in used | set(rows()) if not CODE.fullmatch(code)] == []


def test_every_code_in_use_has_a_row() -> None:
    missing = {
        (code, place)
        for place, call in refusals()
        if len(call.args) == 2
        for code in literals(call.args[0]) - set(rows())
    }
    assert missing == set()


def test_every_row_is_of_a_code_in_use() -> None:
    words = {
        node.value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(rows()) - words == set()


def test_every_code_has_one_row_and_each_section_is_sorted() -> None:
    assert [code for code, count in Counter(rows()).items() if count > 1] == []
    for section in TABLE.split("\n## ")[1:]:
        codes = [row[1] for row in ROW.finditer(section)]
        assert codes == sorted(codes)
