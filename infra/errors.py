"""What can go wrong with a stack, each with the exit code a shell sees."""


class StackError(Exception):
    """A stack could not be started, found or stopped: one line for the user, exit code 1."""

    code = 1


class RefusedError(StackError):
    """An option that cannot be honoured; nothing was started: exit code 2."""

    code = 2


class InstallError(StackError):
    """The environment could not be completed: one line for the user, exit code 1."""


class Interrupted(BaseException):
    """A signal asked this process to end; like KeyboardInterrupt, not to be caught as a failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.code = 128 + signal_number
