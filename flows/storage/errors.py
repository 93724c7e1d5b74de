"""The errors of storage. Each takes one plain string, so that it survives pickling between processes.

Beside these, storage raises :class:`FileNotFoundError` (no such object), :class:`FileExistsError` (a create-only
put lost) and :class:`attgan.errors.UserError` (what only the user can mend: bucket, credentials, URL).
"""


class StorageError(Exception):
    """The infrastructure failed, after the client's retries: never a fault of the data."""


class PreconditionFailed(Exception):
    """The object is not, or is no longer, the one that ``if_match`` named."""


class KeyRefused(Exception):
    """This store cannot hold an object of this name: the message quotes the key and says why."""
