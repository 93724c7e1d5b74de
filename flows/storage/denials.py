"""Requests for one object that find out, when access is denied, whether it is denied to that object alone.

A policy, a key of KMS or a file's mode can close one object; expired rights close all. An object counts as refused for
good only if, right afterwards, another one of the store can be read, or the store can be written to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from attgan.errors import UserError
from flows.storage.errors import AccessDenied, ObjectRefused
from flows.storage.objects import Fetched, ObjectInfo, Store

# Of the listing, the objects at the positions 1, 2, 4, 8, … up to this one are tried.
_DEPTH = 2**17
# Larger objects are not tried.
_BYTES = 64 * 2**20

Result = TypeVar("Result")


class _Answer(NamedTuple):
    """When an object of a store was looked for that can be read, and its key; None if there was none."""

    time: float
    readable: str | None


_answers: dict[str, _Answer] = {}
# One thread asks. Others that were denied at the same time take its answer.
_asking = threading.Lock()


def get(store: Store, key: str) -> Fetched:
    """The object's content: see :meth:`Store.get`.

    Raises:
        ObjectRefused: this object cannot be read, and another one of the store can.
        AccessDenied: neither can.
    """
    return _read(store, key, store.get)


def head(store: Store, key: str) -> ObjectInfo:
    """The object's size, ETag, time and metadata: see :meth:`Store.head`. Raises as :func:`get`."""
    return _read(store, key, store.head)


def put(store: Store, key: str, data: bytes, **options: Any) -> str:
    """Store an object, and return its ETag: see :meth:`Store.put`.

    Raises:
        ObjectRefused: this object cannot be written, although the store may be written to.
        AccessDenied: nothing may be written.
    """
    try:
        return store.put(key, data, **options)
    except AccessDenied as denied:
        if not _may_write(store):
            raise
        raise _refused(store, key, denied) from None


def _read(store: Store, key: str, request: Callable[[str], Result]) -> Result:
    try:
        return request(key)
    except AccessDenied as denied:
        if not _reads_another(store, key):
            raise
        raise _refused(store, key, denied) from None


def _refused(store: Store, key: str, denied: AccessDenied) -> ObjectRefused:
    reason = str(denied).partition(f"/{key}: ")[2] or str(denied)
    return ObjectRefused(f"key {key!r}: {reason}")


def _reads_another(store: Store, key: str) -> bool:
    denied = time.monotonic()
    with _asking:
        answer = _answers.get(store.url)
        if answer is None or answer.time < denied or answer.readable == key:
            known = answer.readable if answer else None
            readable = next(
                (other for other in _others(store, key, known) if _is_readable(store, other)), None
            )
            answer = _answers[store.url] = _Answer(time.monotonic(), readable)
    return answer.readable is not None


def _others(store: Store, key: str, known: str | None) -> Iterator[str]:
    if known not in (None, key):
        yield known
    for position, info in enumerate(store.list(passed_over=lambda key, why: None), 1):
        if position > _DEPTH:
            return
        if position & (position - 1) == 0 and not info.refused and info.key != key and info.size <= _BYTES:
            yield info.key


def _is_readable(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except (AccessDenied, ObjectRefused, FileNotFoundError):
        return False
    return True


def _may_write(store: Store) -> bool:
    try:
        store.check(write=True)
    except UserError as error:
        if error.code in ("aws-access-denied", "directory-unwritable"):
            return False
        raise
    return True
