"""The errors of storage. They take plain strings, so that they survive pickling between processes.

Beside these, storage raises :class:`FileNotFoundError` (no such object), :class:`FileExistsError` (a create-only
put lost) and :class:`attgan.errors.UserError` (only the user can correct it: bucket, credentials, URL).
"""

from attgan.errors import UserError


class StorageError(Exception):
    """The storage failed, also after the client's retries."""


class PreconditionFailed(Exception):
    """The object is not, or is no longer, the one that ``if_match`` named."""


class AccessDenied(StorageError):
    """Access was denied, to this object or to all of them: :mod:`flows.storage.denials` finds out which."""


class CredentialsRefused(UserError, StorageError):
    """The credentials are not, or no longer, accepted. It is the user's to correct, and stops a run.

    Where a failing storage is tolerated, as for a report of progress, this is tolerated too.
    """


class ObjectRefused(StorageError):
    """This object cannot be read or written, while others can, and no retry helps. The message is ``key 'a': why``.

    Where a failing storage is tolerated, this is tolerated too.
    """


class KeyRefused(ObjectRefused):
    """This store cannot hold an object with this key."""
