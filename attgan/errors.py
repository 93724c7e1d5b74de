"""The kinds of error that are not a bug: a user's mistake, bad data, and a training that diverged.

All take plain strings only, so that they survive pickling between processes.
"""


class UserError(Exception):
    """A user's mistake: one line naming the option, the value and the rule. The command line exits 2."""


class Diverged(Exception):
    """A training ended because a loss or a weight was not finite or exploded: one line. The last good state is kept."""


class DataError(Exception):
    """One input that cannot be used: becomes a row in a ledger or manifest, never stops a run.

    Args:
        stage: where it was found out: ``fetch``, ``decode``, ``edit``, ``encode`` or ``put``; or ``process``, where
            the process that had it died.
        reason: one line for the row, without the key.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(stage, reason)
        self.stage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"
