"""The errors of storage. Each takes one plain string, so that it survives pickling between processes.

Beside these, storage raises :class:`FileNotFoundError` (no such object), :class:`FileExistsError` (a create-only
put lost) and :class:`attgan.errors.UserError` (only the user can correct it: bucket, credentials, URL).
"""


class StorageError(Exception):
    """The infrastructure failed, also after the client's retries. It is never the fault of the data."""


class PreconditionFailed(Exception):
    """The object is not, or is no longer, the one that ``if_match`` named."""


class AccessDenied(StorageError):
    """Access was denied, to this object or to all of them: :mod:`flows.storage.denials` finds out which."""


class ObjectRefused(Exception):
    """This object cannot be read or written, while others can, and no retry helps. The message is ``key 'a': why``."""


class KeyRefused(ObjectRefused):
    """This store cannot hold an object with this key."""
