"""The errors of storage. Each takes one plain string, so that it survives pickling between processes.

Beside these, storage raises :class:`FileNotFoundError` (no such object), :class:`FileExistsError` (a create-only
put lost) and :class:`attgan.errors.UserError` (only the user can correct it: bucket, credentials, URL).
"""


class StorageError(Exception):
    """The infrastructure failed, also after the client's retries. It is never the fault of the data."""


class PreconditionFailed(Exception):
    """The object is not, or is no longer, the one that ``if_match`` named."""


class KeyRefused(Exception):
    """This store cannot hold an object with this key. The message has the key and the reason."""
