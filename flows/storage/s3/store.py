"""A bucket, or a prefix in one, as a store."""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import obstore

from flows.storage.errors import KeyRefused, StorageError
from flows.storage.objects import Fetched, ObjectInfo
from flows.storage.s3 import bucket, faults, listing, odd_keys
from flows.storage.s3.aws import Connection, connect, make_client, open_session
from flows.urls import Location

if TYPE_CHECKING:
    # Only type stubs have these names.
    from obstore import Bytes, GetResult

# Larger unconditional puts are sent in parts, so that a lost connection costs only one part.
MULTIPART_BYTES = 64 * 2**20

Result = TypeVar("Result")


class Condition(NamedTuple):
    """The condition of a put on the object that exists."""

    create_only: bool = False
    if_match: str | None = None

    def __bool__(self) -> bool:
        return self.create_only or self.if_match is not None


ANY = Condition()


class S3Store:
    """Objects on S3: see :class:`flows.storage.objects.Store`.

    Data goes through obstore. Listings, and keys that obstore cannot express, go through boto3. The first request makes
    the connection. Threads and event loops may share a store.
    """

    def __init__(self, location: Location, option: str) -> None:
        assert location.bucket is not None
        self.url = location.url
        self.bucket = location.bucket
        self.prefix = location.path
        self._where = f"{option} {location.url}"
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"S3Store({self.url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} belongs to its process: pass its URL and open it there")

    # ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def list(
        self, prefix: str = "", passed_over: Callable[[str, str], None] | None = None
    ) -> Iterator[ObjectInfo]:
        """The objects, sorted by key: see :meth:`Store.list`."""
        walk = listing.by_folder if self.connection().lists_by_folder else listing.flat
        for key, item in listing.in_order(walk(self._ask, self.prefix + prefix), self.url):
            if item is not None and len(key) > len(self.prefix):
                yield self._info(key, item)

    def folder(self, prefix: str) -> Iterator[ObjectInfo | str]:
        """The objects directly below a prefix, and the keys of the folders there.

        The prefix is empty or ends in a slash.
        """
        for key, item in listing.level(self._ask, self.prefix + prefix):
            if len(key) > len(self.prefix + prefix):
                yield key[len(self.prefix) :] if item is None else self._info(key, item)

    def _ask(self, **arguments: str) -> listing.Page:
        """One page of a listing."""
        client = self.connection().client
        return self._try("", lambda: client.list_objects_v2(Bucket=self.bucket, **arguments))

    def _info(self, key: str, item: listing.Page) -> ObjectInfo:
        modified = item["LastModified"].astimezone(UTC)
        return ObjectInfo(key[len(self.prefix) :], item["Size"], item["ETag"].strip('"'), modified)

    # ── objects, in threads ──────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: str) -> Fetched:
        """The object's content: see :meth:`Store.get`."""
        connection, full = self.connection(), self.full_key(key)
        if faults.is_odd(full):
            return self._try(key, odd_keys.get, connection.client, self.bucket, full)

        def get() -> Fetched:
            result = obstore.get(connection.objects, full)
            return _fetched(result, result.bytes())

        return self._try(key, get)

    def read_range(self, key: str, start: int, end: int, etag: str) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive, within the object) of the object that has this ETag.

        Raises:
            PreconditionFailed: it was replaced.
        """
        connection, full = self.connection(), self.full_key(key)

        def get() -> bytes:
            if faults.is_odd(full):
                return odd_keys.read_range(connection.client, self.bucket, full, start, end, etag)
            options = {"range": (start, end), "if_match": f'"{etag}"'}
            return bytes(obstore.get(connection.objects, full, options=options).bytes())  # type: ignore[arg-type]

        data: bytes = self._try(key, get)
        if len(data) != end - start:
            raise StorageError(f"{self.name(key)}: {len(data)} bytes came instead of {end - start}")
        return data

    def head(self, key: str) -> ObjectInfo:
        """Size, ETag, time and metadata: see :meth:`Store.head`."""
        connection, full = self.connection(), self.full_key(key)
        if faults.is_odd(full):
            return self._try(key, odd_keys.head, connection.client, self.bucket, full, key)
        return _head(self._try(key, obstore.get, connection.objects, full, options={"head": True}), key)

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
        """Store an object: see :meth:`Store.put`."""
        condition = Condition(create_only, if_match)
        arguments = _put_arguments(data, condition, metadata, content_type)
        connection, full = self.connection(), self.full_key(key)
        if faults.is_odd(full):
            args = (full, key, data, create_only, if_match, metadata or {}, content_type)
            return self._try(key, odd_keys.put, connection.client, self.bucket, *args, condition=condition)
        put = self._try(key, obstore.put, connection.objects, full, data, condition=condition, **arguments)
        return _etag(put["e_tag"])

    def delete(self, key: str) -> None:
        """Remove an object: see :meth:`Store.delete`."""
        connection, full = self.connection(), self.full_key(key)
        if faults.is_odd(full):
            self._try(key, odd_keys.delete, connection.client, self.bucket, full)
        else:
            self._try(key, obstore.delete, connection.objects, full, is_delete=True)

    # ── objects, in an event loop ────────────────────────────────────────────────────────────────────────────────

    async def aget(self, key: str) -> Fetched:
        """See :meth:`Store.aget`."""
        connection, full = await self._aconnection(), self.full_key(key)
        if faults.is_odd(full):
            return await asyncio.to_thread(self.get, key)

        async def get() -> Fetched:
            result = await obstore.get_async(connection.objects, full)
            return _fetched(result, await result.bytes_async())

        return await self._atry(key, get)

    # ── the bucket ───────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, write: bool = False) -> None:
        """Find the user's mistakes: see :meth:`Store.check`."""
        client = make_client(open_session(self._where), self._where, hurried=True)
        bucket.check(client, self.bucket, self.prefix, self._where, write)

    def make_bucket(self) -> None:
        """Create the bucket unless it exists: see :meth:`Store.make_bucket`."""
        bucket.create(make_client(open_session(self._where), self._where), self.bucket, self._where)

    def filesystem(self) -> tuple[Any, str]:
        """A pyarrow file system over this store: see :meth:`Store.filesystem`."""
        from flows.storage.s3.filesystem import make_filesystem

        return make_filesystem(self)

    def connection(self) -> Connection:
        """The connection, which the first call makes."""
        with self._lock:
            if self._connection is None:
                self._connection = connect(self.bucket, self.prefix, self._where)
            return self._connection

    async def _aconnection(self) -> Connection:
        connection = self._connection
        return await asyncio.to_thread(self.connection) if connection is None else connection

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def name(self, key: str) -> str:
        """The object's URL, for messages."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def full_key(self, key: str) -> str:
        """The key in the bucket.

        Raises:
            KeyRefused: it is empty, or not text.
        """
        if not key:
            raise KeyRefused("key '': an object needs a name")
        try:
            key.encode()
        except UnicodeEncodeError:
            raise KeyRefused(f"key {key!r}: not UTF-8 text") from None
        return self.prefix + key

    def _try(
        self,
        key: str,
        request: Callable[..., Result],
        *args: Any,
        condition: Condition = ANY,
        is_delete: bool = False,
        **kwargs: Any,
    ) -> Result:
        """Send a request, retry it where the clients do not, and translate its failure."""
        pauses = faults.pauses(self.connection().attempts)
        while True:
            try:
                return request(*args, **kwargs)
            except faults.RAISED as error:
                pause = faults.pause_before_next(error, pauses, bool(condition) or is_delete)
                if pause is None:
                    raise faults.at_object(
                        error,
                        self.name(key),
                        key,
                        create_only=condition.create_only,
                        replaces=condition.if_match is not None,
                    ) from None
            time.sleep(pause)

    async def _atry(self, key: str, request: Callable[[], Awaitable[Result]]) -> Result:
        """``_try`` of a read, for an event loop."""
        pauses = faults.pauses(self.connection().attempts)
        while True:
            try:
                return await request()
            except faults.RAISED as error:
                pause = faults.pause_before_next(error, pauses, left_to_us=False)
                if pause is None:
                    raise faults.at_object(error, self.name(key), key) from None
            await asyncio.sleep(pause)


def _put_arguments(
    data: bytes, condition: Condition, metadata: Mapping[str, str] | None, content_type: str | None
) -> dict[str, Any]:
    """obstore's arguments for a put.

    Raises:
        ValueError: both conditions at once, or metadata that HTTP headers cannot carry.
    """
    if condition.create_only and condition.if_match is not None:
        raise ValueError("create_only and if_match exclude each other")
    attributes = dict(metadata or {})
    for name, value in attributes.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) or not re.fullmatch(
            r"([!-~]([ -~]*[!-~])?)?", value
        ):
            raise ValueError(
                f"metadata {name}={value!r}: lower-case ASCII names and trimmed ASCII values only"
            )
    if content_type:
        attributes["Content-Type"] = content_type
    if condition.create_only:
        mode: Any = "create"
    else:
        mode = "overwrite" if condition.if_match is None else {"e_tag": f'"{condition.if_match}"'}
    multipart = len(data) > MULTIPART_BYTES and not condition
    return {"attributes": attributes, "mode": mode, "use_multipart": multipart}


def _fetched(result: "GetResult", data: "Bytes") -> Fetched:
    """An answer with its body, which must be complete."""
    if len(data) != result.meta["size"]:
        raise StorageError(f"{result.meta['path']}: {len(data)} bytes came instead of {result.meta['size']}")
    return Fetched(bytes(data), _etag(result.meta["e_tag"]), _metadata(result))


def _head(result: "GetResult", key: str) -> ObjectInfo:
    meta = result.meta
    return ObjectInfo(key, meta["size"], _etag(meta["e_tag"]), meta["last_modified"], _metadata(result))


def _metadata(result: "GetResult") -> dict[str, str]:
    """The user metadata. obstore's own attributes begin with a capital letter."""
    return {
        name: value for name, value in result.attributes.items() if name[:1].islower() or name[:1].isdigit()
    }


def _etag(etag: str | None) -> str:
    return (etag or "").strip('"')
