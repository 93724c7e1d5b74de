"""Listing a bucket in the keys' order, page by page.

S3 lists keys in the order of their UTF-8 bytes. SeaweedFS does not: it walks its folders, so that all of ``a/…``
comes before ``a-b``, and takes ``StartAfter`` in that order too. There one level is listed at a time, and the folders
are put where their slash belongs. Any other server that breaks the order is an error: callers merge sorted listings.
"""

import heapq
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flows.storage.errors import StorageError

Page = dict[str, Any]
Entry = tuple[str, Page | None]  # a key and its description; a folder, ending in a slash, has none


def in_order(entries: Iterator[Entry], name: str) -> Iterator[Entry]:
    """The same entries; Python compares strings by code point, which is the order of their UTF-8 bytes.

    Raises:
        StorageError: a key is not greater than the one before it.
    """
    last = None
    for entry in entries:
        if last is not None and entry[0] <= last:
            raise StorageError(
                f"{name}: the server lists {entry[0]!r} after {last!r}, out of the order that S3 guarantees"
            )
        last = entry[0]
        yield entry


def flat(ask: Callable[..., Page], prefix: str, start_after: str) -> Iterator[Entry]:
    """All keys with a prefix, as the server sorts them. ``ask`` sends one ``ListObjectsV2`` with these arguments."""
    start = {"StartAfter": start_after} if start_after else {}
    for page in _pages(ask, Prefix=prefix, **start):
        for item in page.get("Contents", ()):
            yield item["Key"], item


def by_folder(ask: Callable[..., Page], prefix: str, start_after: str) -> Iterator[Entry]:
    """All keys with a prefix, sorted, from a server that lists folder by folder; one request per folder at least."""
    levels = [level(ask, prefix)]
    while levels:
        key, item = next(levels[-1], ("", None))
        if not key:
            levels.pop()
        elif item is not None:
            if key > start_after:
                yield key, item
        elif key > start_after or start_after.startswith(key):
            levels.append(level(ask, key))


def level(ask: Callable[..., Page], prefix: str) -> Iterator[Entry]:
    """The keys and folders directly below a prefix, sorted, from a server that sorts folders without their slash.

    A folder is held back until every name that sorts before its slash has come: memory holds a page and a few.
    """
    held: list[tuple[str, int, Page | None]] = []
    count = 0
    for page in _pages(ask, Prefix=prefix, Delimiter="/"):
        # SeaweedFS lists a folder that lost its last object as if it were one, but without an ETag
        objects = (item for item in page.get("Contents", ()) if item["ETag"].strip('"'))
        found: list[Entry] = [(item["Key"], item) for item in objects]
        found += [(folder["Prefix"], None) for folder in page.get("CommonPrefixes", ())]
        for key, item in found:
            count += 1  # keeps two descriptions from being compared
            heapq.heappush(held, (key, count, item))
        last = max((key.removesuffix("/") for key, _ in found), default="")
        while held and held[0][0] <= last:
            key, _, item = heapq.heappop(held)
            yield key, item
    while held:
        key, _, item = heapq.heappop(held)
        yield key, item


def _pages(ask: Callable[..., Page], **arguments: str) -> Iterator[Page]:
    """All pages; the next one is on its way while one is worked on."""
    page = ask(**arguments)
    token = _token_after(page, None, arguments)
    if token is None:
        yield page
        return
    ahead = ThreadPoolExecutor(1, "listing")
    try:
        while token is not None:
            coming = ahead.submit(ask, **arguments, ContinuationToken=token)
            yield page
            page = coming.result()
            token = _token_after(page, token, arguments)
        yield page
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _token_after(page: Page, token: str | None, arguments: dict[str, str]) -> str | None:
    """The token that leads to the page after the one that ``token`` led to; None after the last one."""
    if not page.get("IsTruncated"):
        return None
    after: str | None = page.get("NextContinuationToken")
    if not after or after == token:
        raise StorageError(f"the server's listing of {arguments['Prefix']!r} does not get past one page")
    return after
