"""Which signals end a command."""

import subprocess
import sys

import pytest

from infra.errors import Interrupted

# As `nohup` starts a program, or not.
SCRIPT = """\
import signal
from infra import signals
signal.signal(signal.SIGHUP, signal.{handler})
signals.interruptible()
signal.raise_signal(signal.SIGHUP)
print("continues")
"""


@pytest.mark.parametrize(("handler", "continues"), [("SIG_IGN", True), ("SIG_DFL", False)])
def test_a_lost_terminal_ends_a_command_unless_that_is_ignored(handler: str, continues: bool) -> None:
    script = SCRIPT.format(handler=handler)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ("continues" in ended.stdout) == continues
    assert (Interrupted.__name__ in ended.stderr) != continues
