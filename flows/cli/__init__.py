"""The command line: ``attgan COMMAND --option value``. The options of a command are the fields of its settings model.

The commands stand in one file for each kind of work. Each imports what it runs when it is called, so that help and
refusals come at once.
"""

from flows.cli.main import app, main, run

__all__ = ["app", "main", "run"]
