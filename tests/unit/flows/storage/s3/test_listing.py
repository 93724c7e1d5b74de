"""Sorting what a server lists folder by folder, against a model of such a server."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.storage import StorageError
from flows.storage.s3.listing import by_folder, in_order

names = st.text(alphabet=" -./0aé", min_size=1, max_size=8).filter(lambda key: not key.startswith("/"))


def folder_server(keys: set[str], size: int) -> Callable[..., dict[str, Any]]:
    """Answers ``ListObjectsV2`` for one level, in pages, in the order of names without a folder's slash."""

    def ask(Prefix: str, Delimiter: str, ContinuationToken: str = "0") -> dict[str, Any]:
        below = {key for key in keys if key.startswith(Prefix)}
        level = {
            Prefix + key[len(Prefix) :].partition("/")[0] for key in below if "/" not in key[len(Prefix) :]
        }
        folders = {
            Prefix + key[len(Prefix) :].partition("/")[0] + "/" for key in below if "/" in key[len(Prefix) :]
        }
        entries = sorted(level | folders, key=lambda entry: (entry.removesuffix("/").encode(), entry))
        start = int(ContinuationToken)
        page = entries[start : start + size]
        return {
            "Contents": [{"Key": entry, "ETag": '"1"'} for entry in page if entry in level],
            "CommonPrefixes": [{"Prefix": entry} for entry in page if entry in folders],
            "IsTruncated": start + size < len(entries),
            "NextContinuationToken": str(start + size),
        }

    return ask


@given(st.sets(names, max_size=20), names | st.just(""), st.integers(1, 4))
def test_sorts_any_keys_by_their_bytes(keys: set[str], prefix: str, size: int) -> None:
    listed = [key for key, _ in by_folder(folder_server(keys, size), prefix)]
    wanted = {key for key in keys if key.startswith(prefix)}
    assert listed == sorted(wanted, key=str.encode)


def test_a_server_out_of_order_is_an_error() -> None:
    entries = iter([("a/b", {}), ("a-b", {})])
    with pytest.raises(StorageError, match="'a-b' after 'a/b'"):
        list(in_order(entries, "s3://bucket"))
