"""The errors that are not bugs: a user's mistake, bad data, and a training that diverged.

Their arguments are plain strings, so that they can be pickled between processes.
"""


class UserError(Exception):
    """A user's mistake. The command line prints it as one line and exits with code 2.

    Args:
        code: of the rule that was broken: words joined by hyphens, one code for each rule, never changed. Users search
            for it, and tests assert it.
        line: the option, the value and the rule, on one line.
    """

    def __init__(self, code: str, line: str) -> None:
        super().__init__(code, line)
        self.code = code
        self.line = line

    def __str__(self) -> str:
        return f"[{self.code}] {self.line}"


class CapReached(UserError):
    """A cap of the user's ended a run before all was done: no mistake. The same command continues; exit code 75."""


class Diverged(Exception):
    """A training ended because a loss or a weight was not finite or exploded: one line. The last good state is kept."""


class DataError(Exception):
    """One input that cannot be used. It becomes a row in a ledger or manifest, and never stops a run.

    Args:
        stage: in which it was found: ``list``, ``fetch``, ``decode``, ``find``, ``edit``, ``encode`` or ``put``; or
            ``process``, if the process that worked on it died.
        reason: one line for the row, without the key.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(stage, reason)
        self.stage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class NotAnImage(DataError):
    """An input whose content is not an image of any format that is read."""


def one_line(text: object, most: int | None = 300) -> str:
    """A text on one line of at most ``most`` letters. An error without a text gives the name of its class."""
    line = " ".join(str(text).split())
    if not line and isinstance(text, BaseException):
        line = type(text).__name__
    return line if most is None or len(line) <= most else line[: most - 1] + "…"
