"""Tables in the terminal."""

import io

import pytest
from rich.console import Console

from flows.runtime import terminal

URL = "s3://faces/wild/a-long-prefix/of-some-folder"
ROWS = [
    {"file": "one.jpg", "where": URL, "what": "edited well and quickly", "more": "words " * 12},
    {"file": "two.jpg", "where": URL + "2", "what": "failed", "more": ""},
]


def printed(monkeypatch: pytest.MonkeyPatch, width: int, *, is_terminal: bool, mapping: bool = False) -> str:
    out = io.StringIO()
    # With both given, a dumb terminal has this size, too.
    console = Console(file=out, width=width, height=25, force_terminal=is_terminal, color_system=None)
    monkeypatch.setattr(terminal, "console", console)
    if mapping:
        terminal.print_mapping("Run", {"place": URL, "images": 1234})
    else:
        terminal.print_rows("Files", ROWS)
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 75, 80, 120])
def test_no_word_of_a_column_that_is_shown_is_broken_and_the_others_are_named(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    output = printed(monkeypatch, width, is_terminal=True)
    table, _, after = output.rpartition("┘\n")
    assert max(map(len, table.splitlines())) <= width
    words = {word for line in table.splitlines() for word in line.split()}
    for name in ROWS[0]:
        cells = {word for row in ROWS for word in row[name].split()}
        assert (cells <= words) if name not in after else name not in words
    assert ("more" in after) == (width < 80)


def test_lines_of_a_column_that_is_to_stay_whole_are_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(
        terminal, "console", Console(file=out, width=36, height=25, force_terminal=True, color_system=None)
    )
    terminal.print_rows(
        "When", [{"when": "0 3 * * *\nEurope/Berlin", "what": "many words " * 5}], whole=["when"]
    )
    assert "0 3 * * *" in out.getvalue()


def test_what_goes_to_a_file_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    output = printed(monkeypatch, 40, is_terminal=False)
    assert all(word in output.split() for row in ROWS for cell in row.values() for word in cell.split())
