"""The interface of all stores, and the values that they return."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object, without its content.

    Attributes:
        key: relative to the store, the exact string.
        size: in bytes.
        etag: changes whenever the content is replaced; without quotation marks. On disk: size and modification time.
        modified: when it was written, by the store's clock, with time zone.
        metadata: user metadata, names in lower case. Only ``head`` on S3 fills it.
        refused: why the object cannot be read, as far as the listing knows. Then the ETag is empty.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None


class Fetched(NamedTuple):
    """An object's content, with the ETag it had and its user metadata (empty on disk)."""

    data: bytes
    etag: str
    metadata: Mapping[str, str]


class Store(Protocol):
    """A bucket and prefix, or a directory. Keys are relative to it, exact strings, with ``/`` between folders.

    A store belongs to its process: it has connections and cannot be pickled. Workers open their own by URL. Threads and
    tasks of an event loop may share a store.

    All methods raise :class:`~flows.storage.errors.StorageError` when the infrastructure fails for longer than the
    client's retries last, :class:`~flows.storage.errors.ObjectRefused` for an object that no retry can read or write
    (or :class:`~flows.storage.errors.AccessDenied`, if that may be true of all objects), and
    :class:`attgan.errors.UserError` when the credentials are no longer accepted. The first request of an S3 store also
    checks that the bucket exists, and raises :class:`attgan.errors.UserError` if not.
    """

    @property
    def url(self) -> str:
        """The store's URL, normalised; ``open_store(store.url)`` opens the same store."""

    def list(
        self, prefix: str = "", passed_over: Callable[[str, str], None] | None = None
    ) -> Iterator[ObjectInfo]:
        """The objects whose key begins with ``prefix``, sorted by key.

        The order is that of the keys' UTF-8 bytes (``a-b`` < ``a/b`` < ``a0``) on every store. The iterator streams:
        only one page (S3) or the names of the open folders (disk) are in memory. An object whose key is the store's
        prefix itself, which S3 allows, is left out.

        Args:
            prefix: of the keys.
            passed_over: receives the key of each link, pipe or the like in a directory that is no object, and why. With
                it, what cannot be read does not end the listing: such files are listed as ``refused``, and so are
                folders, whose keys end in a slash. Bytes of a name that are not UTF-8 are written ``\\xe9``.

        Raises:
            UserError: a file name on disk is not UTF-8.
            StorageError: a folder on disk cannot be listed.
        """

    def get(self, key: str) -> Fetched:
        """The object's content.

        Raises:
            FileNotFoundError: there is none.
        """

    async def aget(self, key: str) -> Fetched:
        """``get`` for an event loop. Many requests may be in flight."""

    def head(self, key: str) -> ObjectInfo:
        """The object's size, ETag, time and metadata.

        Raises:
            FileNotFoundError: there is none.
        """

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> str:
        """Store ``data`` under ``key``, whole or not at all, and return its ETag.

        Args:
            key: where; folders need not exist.
            data: the content.
            create_only: fail if the key exists. Of several at the same time exactly one succeeds.
            if_match: replace only the object with this ETag (compare and swap).
            metadata: user metadata for S3: ASCII, names in lower case. A disk drops it; there the caller compares
                content.
            content_type: for S3; a disk drops it.

        Raises:
            FileExistsError: ``create_only``, and the key exists. If the answer to an earlier attempt of this call was
                lost, the object may be the caller's own, who can find out with one ``head``.
            PreconditionFailed: ``if_match``, and the object is another one or gone. After a lost answer the other one
                may be the caller's own, too.
            ValueError: both conditions at once, or metadata that HTTP headers cannot carry.
        """

    def delete(self, key: str) -> None:
        """Remove the object. A missing object is no error. Folders on disk stay."""

    def check(self, write: bool = False) -> None:
        """Find the user's mistakes before any work is done; nothing stays written.

        Args:
            write: whether the store will be written to. Then the right to write is checked too, and on S3 that the
                server supports conditional writes, which exactly-once depends on. For writing, a missing directory is
                accepted; a missing bucket never is.

        Raises:
            UserError: no such bucket or directory, a file instead of a directory, wrong or missing credentials or
                rights.
            StorageError: the endpoint cannot be reached (the message names it), within half a minute.
        """

    def make_bucket(self) -> None:
        """Create the bucket or directory unless it exists. Meant for local stacks."""

    def filesystem(self) -> tuple[Any, str]:
        """A ``pyarrow.fs.FileSystem`` and the path of this store in it, for Parquet files and model bundles.

        On S3 a file appears, whole, when it is closed. On disk it grows in place. ``with`` also closes it after an
        exception, so a file that exists may be incomplete: list finished files in a manifest that is written last.
        """
