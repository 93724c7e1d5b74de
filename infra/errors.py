"""What can go wrong with a stack. Each error has the exit code that the shell receives."""


class StackError(Exception):
    """A stack could not be started, found or stopped. The message is one line for the user."""

    exit_code = 1


class RefusedError(StackError):
    """An option that cannot be honoured; nothing was started.

    Args:
        code: of the rule that was broken, as :class:`attgan.errors.UserError` has it.
        line: the option, the value and the rule, on one line.
    """

    exit_code = 2

    def __init__(self, code: str, line: str) -> None:
        super().__init__(code, line)
        self.code = code
        self.line = line

    def __str__(self) -> str:
        return f"[{self.code}] {self.line}"


class InstallError(StackError):
    """The environment could not be completed. The message is one line for the user."""


class Interrupted(BaseException):
    """A signal asked this process to end.

    Like KeyboardInterrupt it is no failure: ``except Exception`` does not catch it.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
