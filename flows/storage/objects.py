"""What a store holds and hands out, and the interface that every store has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object, without its content.

    Attributes:
        key: relative to the store, the exact string.
        size: in bytes.
        etag: changes whenever the content is replaced; without quotation marks. On disk size and modification time.
        modified: when it was written, by the store's clock, with time zone.
        metadata: user metadata, names in lower case. Filled by ``head`` on S3 only: listings and disks have none.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


class Fetched(NamedTuple):
    """An object's content, with the ETag it had and its user metadata (empty on disk)."""

    data: bytes
    etag: str
    metadata: Mapping[str, str]


class Store(Protocol):
    """A bucket and prefix, or a directory. Keys are relative to it, exact strings, with ``/`` between folders.

    A store belongs to its process: it holds connections and cannot be pickled. Workers open their own by URL. It may
    be shared by threads and by tasks of an event loop.

    All methods raise :class:`~flows.storage.errors.StorageError` when the infrastructure fails for longer than the
    client's retries last, and :class:`~flows.storage.errors.KeyRefused` for a key that the store cannot hold. The
    first request of an S3 store also looks whether the bucket is there and the credentials are right, and raises
    :class:`attgan.errors.UserError` if not.
    """

    @property
    def url(self) -> str:
        """The store's URL, normalised; ``open_store(store.url)`` opens the same store."""

    def list(self, prefix: str = "", start_after: str | None = None) -> Iterator[ObjectInfo]:
        """The objects whose key begins with ``prefix`` and is greater than ``start_after``, sorted by key.

        The order is that of the keys' UTF-8 bytes (``a-b`` < ``a/b`` < ``a0``) on every store. The iterator streams:
        memory holds one page on S3, and the names of the open folders on disk. An object without a name of its own
        (S3 allows one that is called like the store's prefix) is left out.

        Raises:
            UserError: a file name on disk is not UTF-8.
        """

    def get(self, key: str) -> Fetched:
        """The object's content.

        Raises:
            FileNotFoundError: there is none.
        """

    async def aget(self, key: str) -> Fetched:
        """``get`` for an event loop; many may be in flight."""

    def head(self, key: str) -> ObjectInfo:
        """The object's size, ETag, time and metadata.

        Raises:
            FileNotFoundError: there is none.
        """

    async def ahead(self, key: str) -> ObjectInfo:
        """``head`` for an event loop."""

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
            metadata: user metadata for S3: ASCII, names lower case. A disk has no place for it and drops it: there
                the caller compares content.
            content_type: for S3; a disk drops it.

        Raises:
            FileExistsError: ``create_only``, and the key exists. When the answer to an earlier attempt of this very
                call was lost on the way, the object may be our own: the caller decides with one ``head``.
            PreconditionFailed: ``if_match``, and the object is another one or gone. The same holds: after a lost
                answer the other one may be ours.
            ValueError: both conditions at once, or metadata that HTTP headers cannot carry.
        """

    async def aput(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> str:
        """``put`` for an event loop; many may be in flight."""

    def delete(self, key: str) -> None:
        """Remove the object. It is no error if there is none. Folders on disk stay."""

    async def adelete(self, key: str) -> None:
        """``delete`` for an event loop."""

    def check(self, write: bool = False) -> None:
        """Find the user's mistakes before any work is done; writes nothing.

        Args:
            write: whether the store will be written to: then the right to write is checked too, and on S3 that the
                server honours conditional writes, on which exactly-once rests. A missing directory is fine for
                writing, a missing bucket never is.

        Raises:
            UserError: no such bucket or directory, a file instead of a directory, wrong or no credentials, no right.
            StorageError: the endpoint cannot be reached (the message names it), within half a minute.
        """

    def make_bucket(self) -> None:
        """Create the bucket, or the directory, unless it is there: for local stacks."""

    def filesystem(self) -> tuple[Any, str]:
        """A ``pyarrow.fs.FileSystem`` and the path of this store in it, for Parquet files and model bundles.

        On S3 a file appears whole, when it is closed; on disk it grows where it is. Closing is also what ``with``
        does on an exception, so a file is complete only for whoever wrote it to the end: list finished files in a
        manifest that is written last.
        """
