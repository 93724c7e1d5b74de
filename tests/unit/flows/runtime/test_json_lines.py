"""Commands that print JSON, for programs that read their lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runtime import json_lines, terminal

LOG = """
from flows.runtime import json_lines
rest = json_lines.choose(["edit", "--log-format", "json", "--redo"])
assert rest == ["edit", "--redo"], rest
from prefect import flow, get_run_logger
import logging
logging.getLogger("some.library").warning("a\\nb")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("prefect.flow_runs").exception("odd", extra={"flow_run_id": 7})
"""


def test_every_line_of_the_log_is_an_object(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "ATTGAN"))}
    home = {"PREFECT_HOME": str(tmp_path), "PREFECT_LOGGING_TO_API_ENABLED": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", LOG], env=clean | home, text=True, capture_output=True, check=True
    )
    first, second = (json.loads(line) for line in ended.stderr.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("WARNING", "some.library", "a\nb")
    assert second["flow_run_id"] == "7"
    assert "ZeroDivisionError" in second["exception"]
    assert second["time"] >= first["time"]


def test_results_are_objects_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(json_lines.VARIABLE, "json")
    terminal.print_rows("Files", [{"file": "a:smile:.jpg", "bytes": 7}])
    terminal.print_mapping("Run", {"images": 1234})
    terminal.print_line("so it is")
    rows, values, line = (json.loads(printed) for printed in capsys.readouterr().out.splitlines())
    assert rows["rows"] == [{"file": "a:smile:.jpg", "bytes": 7}]
    assert values["values"] == {"images": 1234}
    assert line["message"] == "so it is"
