"""What a command prints as one JSON object a line: its log, its results, and the line that it fails with.

Chosen with ``--log-format json`` or ``ATTGAN_LOG_FORMAT=json``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from attgan.errors import UserError

VARIABLE = "ATTGAN_LOG_FORMAT"
OPTION = "--log-format"
_FORMATS = ("text", "json")
# Prefect's own way to replace a value of its logging configuration.
_HANDLER = "PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS"
# In a terminal the name of a flow does: that of its run, which holds a URL, would be longer than most messages.
_LINE = "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT"
_SHORT = "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(flow_name)s - %(message)s"


def are_wanted() -> bool:
    """Whether this process prints JSON."""
    return os.environ.get(VARIABLE) == "json"


def choose(arguments: Iterable[str]) -> list[str]:
    """Take the option out of a command's arguments, and set up this process and its children as it says.

    Every command has this option, wherever it stands, so it is no option of a single one.

    Raises:
        UserError: there is no such format.
    """
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == OPTION:
            os.environ[VARIABLE] = value if equals else next(words, "")
        else:
            rest.append(word)
    chosen = os.environ.get(VARIABLE, "text")
    if chosen not in _FORMATS:
        raise UserError("setting-invalid", f"{OPTION} {chosen}: is none of {', '.join(_FORMATS)}")
    if are_wanted():
        os.environ[_HANDLER] = f"{__name__}.JsonLines"
    else:
        os.environ.setdefault(_LINE, _SHORT)
    if "prefect" in sys.modules:
        from prefect.logging.configuration import setup_logging

        setup_logging(incremental=False)
    return rest


def write(stream: TextIO, level: str, message: str, **further: Any) -> None:
    """Write a line of the command itself, outside of any log, with further fields."""
    _write(stream, datetime.now(UTC), level, "attgan", message, further)


def _write(
    stream: TextIO, time: datetime, level: str, logger: str, message: str, further: dict[str, Any]
) -> None:
    line = {"time": time.isoformat(timespec="milliseconds"), "level": level, "logger": logger}
    print(json.dumps(line | {"message": message} | further, default=str), file=stream, flush=True)


class JsonLines(logging.StreamHandler[TextIO]):
    """Stands in for Prefect's handler of the terminal, with the arguments that its configuration has for that one."""

    def __init__(self, stream: TextIO | None = None, **_: Any) -> None:
        super().__init__(stream)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, with the id of its flow run where Prefect has added it."""
        try:
            further = {}
            if run := getattr(record, "flow_run_id", None):
                further["flow_run_id"] = str(run)
            if record.exc_info:
                further["exception"] = logging.Formatter().formatException(record.exc_info)
            time = datetime.fromtimestamp(record.created, UTC)
            _write(self.stream, time, record.levelname, record.name, record.getMessage(), further)
        except Exception:
            self.handleError(record)
