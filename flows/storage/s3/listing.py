"""Lists a bucket in the order of its keys, page by page.

S3 lists keys in the order of their UTF-8 bytes. SeaweedFS does not: it walks its folders, so that all of ``a/…``
comes before ``a-b``, and it interprets ``StartAfter`` in that order too. There, one level is listed at a time, and
folders are sorted by their name with a slash. A server with any other order is an error, because callers merge sorted
listings.
"""

import heapq
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flows.storage.errors import StorageError

Page = dict[str, Any]
# A key and its description. A folder, whose key ends in a slash, has none.
Entry = tuple[str, Page | None]


def in_order(entries: Iterator[Entry], name: str) -> Iterator[Entry]:
    """Yield the entries unchanged, and check their order.

    Python compares strings by code point, which is the order of their UTF-8 bytes.

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


def flat(ask: Callable[..., Page], prefix: str) -> Iterator[Entry]:
    """All keys with a prefix, as the server sorts them. ``ask`` sends one ``ListObjectsV2`` request."""
    for page in _pages(ask, Prefix=prefix):
        for item in page.get("Contents", ()):
            yield item["Key"], item


def by_folder(ask: Callable[..., Page], prefix: str) -> Iterator[Entry]:
    """All keys with a prefix, sorted, from a server that lists folder by folder. At least one request per folder."""
    levels = [level(ask, prefix)]
    while levels:
        key, item = next(levels[-1], ("", None))
        if not key:
            levels.pop()
        elif item is not None:
            yield key, item
        else:
            levels.append(level(ask, key))


def level(ask: Callable[..., Page], prefix: str) -> Iterator[Entry]:
    """The keys and folders directly below a prefix, sorted, from a server that sorts folders without their slash.

    A folder is held back until every name that sorts before its name with a slash has arrived. So little more than one
    page is in memory.
    """
    held: list[tuple[str, int, Page | None]] = []
    count = 0
    for page in _pages(ask, Prefix=prefix, Delimiter="/"):
        # SeaweedFS lists a folder whose last object was deleted as if it were an object, but without an ETag.
        objects = (item for item in page.get("Contents", ()) if item["ETag"].strip('"'))
        found: list[Entry] = [(item["Key"], item) for item in objects]
        found += [(folder["Prefix"], None) for folder in page.get("CommonPrefixes", ())]
        for key, item in found:
            # Makes entries unique, so that descriptions are never compared.
            count += 1
            heapq.heappush(held, (key, count, item))
        last = max((key.removesuffix("/") for key, _ in found), default="")
        while held and held[0][0] <= last:
            key, _, item = heapq.heappop(held)
            yield key, item
    while held:
        key, _, item = heapq.heappop(held)
        yield key, item


def _pages(ask: Callable[..., Page], **arguments: str) -> Iterator[Page]:
    """All pages. The next one is requested while the caller processes the current one."""
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
    """The token of the next page; None after the last one."""
    if not page.get("IsTruncated"):
        return None
    after: str | None = page.get("NextContinuationToken")
    if not after or after == token:
        raise StorageError(f"the server's listing of {arguments['Prefix']!r} does not get past one page")
    return after
