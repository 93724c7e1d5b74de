"""One interface, three stores: SeaweedFS, moto and a directory behave alike, and where they cannot, say so."""

import asyncio
import contextlib
import os
import secrets
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from flows.storage import KeyRefused, ObjectInfo, PreconditionFailed, Store, join, open_store
from flows.storage.s3 import store as s3
from tests.support.refusals import refused
from tests.support.servers.aws_environment import leading_to

pytestmark = pytest.mark.stack

PLAIN_KEYS = [
    "a.jpg", "a b.jpg", "a%2Fb", "a%2fb", "100%", "%20", "%00", "a%00b", "%2e%2e/x", "a+b", "a#b", "a?b=c&d", "a*b",
    "a~b", "~", "~x/y", "-", "_", "...", "a/.../b", "..a", ".hidden", "a<b>", 'a"b', "a'b", "a:b", "a|b", "a^b", "a`b",
    "{a}", "[a]", "(a)", "a;b", "a,b", "a@b", "a!b", "$x", "a=b", " lead", "trail ", "x/ /y", "&amp;", "&#x0;", "con",
    unicodedata.normalize("NFD", "é/ü"), unicodedata.normalize("NFC", "é/ü"), "😀/🎭.png", "\u200b", "\u202e",
    "\ud7ff", "\ufffe", "\ufeffa", "x\u0085y", "x\u2028y", "Ａ", ("y" * 200 + "/") * 4 + "z" * 100,
]  # fmt: skip
# Keys that obstore refuses or rewrites: boto3 carries them.
ODD_KEYS = [
    "a/../b", "../x", "a/./b", "./b", "..", ".", "a//b", "a///b", "/lead", "a/trail/", "/", "//", "a/..", "t\tb",
    "c\x01b", "d\x7fb", "\x1f", "n\nb", "z\x00b",
]  # fmt: skip
# moto's web server routes no newline, and drops this one.
NOT_ON_MOTO = {"n\nb"}
# SeaweedFS holds a file tree: it refuses some keys, and takes others for the same one with single slashes.
NOT_ON_SEAWEEDFS = {
    "a//b", "a///b", "/lead", "/", "//", "a/trail/", "a/../b", "../x", "a/./b", "./b", "..", ".", "a/..", "z\x00b"
}  # fmt: skip

NOT_ON_DISK = {key for key in ODD_KEYS if {"", ".", ".."} & set(key.split("/")) or "\0" in key}


class Place(NamedTuple):
    """A server, and a URL on it where nothing is yet."""

    server: str
    url: str


SEAWEEDFS = pytest.param("seaweedfs", marks=pytest.mark.seaweedfs(reason="moto is here anyway"))


@pytest.fixture(scope="module", params=[SEAWEEDFS, pytest.param("moto", marks=pytest.mark.long), "disk"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    if request.param == "disk":
        yield "disk", str(tmp_path_factory.mktemp("stores"))
        return
    variables = request.getfixturevalue("s3_server" if request.param == "seaweedfs" else "moto_server")
    with leading_to(variables):
        url = f"s3://stores-{secrets.token_hex(4)}"
        open_store(url).make_bucket()
        yield request.param, url


@pytest.fixture
def place(server: tuple[str, str]) -> Place:
    return Place(server[0], join(server[1], secrets.token_hex(4), "run"))


@pytest.fixture
def store(place: Place) -> Store:
    return open_store(place.url)


def keys(infos: Iterator[ObjectInfo]) -> list[str]:
    return [info.key for info in infos]


def test_round_trip(store: Store, place: Place) -> None:
    data = bytes(range(256)) * 40
    metadata = {"source-etag": '"0a-1"', "fingerprint": "f" * 64}
    etag = store.put("a/b.jpg", data, metadata=metadata, content_type="image/jpeg")
    fetched, head = store.get("a/b.jpg"), store.head("a/b.jpg")
    assert fetched.data == data
    assert fetched.etag == head.etag == etag
    assert '"' not in etag
    assert fetched.metadata == head.metadata == ({} if place.server == "disk" else metadata)
    assert head.size == len(data)
    [listed] = store.list()
    assert (listed.key, listed.size, listed.etag) == ("a/b.jpg", len(data), etag)
    assert abs((listed.modified - head.modified).total_seconds()) < 1
    assert listed.modified.utcoffset() is not None
    store.put("a/b.jpg", b"")
    assert store.get("a/b.jpg").data == b""
    store.delete("a/b.jpg")
    assert list(store.list()) == []


def test_what_is_not_there(store: Store) -> None:
    for request in (store.get, store.head):
        with pytest.raises(FileNotFoundError, match=r"a/missing\.jpg"):
            request("a/missing.jpg")
    store.delete("a/missing.jpg")


def test_awaited_requests_do_the_same(store: Store) -> None:
    numbers = range(100)
    etags = [store.put(f"{n:03}", b"%d" % n) for n in numbers]

    async def go() -> None:
        fetched = await asyncio.gather(*[store.aget(f"{n:03}") for n in numbers])
        assert [f.data for f in fetched] == [b"%d" % n for n in numbers]
        assert [f.etag for f in fetched] == etags
        with pytest.raises(FileNotFoundError):
            await store.aget("missing")

    asyncio.run(go())


@pytest.mark.parametrize("kind", ["plain", "odd"])
def test_keys_are_exact(store: Store, place: Place, kind: str) -> None:
    wanted = set(PLAIN_KEYS if kind == "plain" else ODD_KEYS)
    if place.server == "moto":
        wanted -= NOT_ON_MOTO
    if place.server == "seaweedfs":
        wanted -= NOT_ON_SEAWEEDFS
    if place.server == "disk":
        wanted -= NOT_ON_DISK
    for key in sorted(wanted):
        store.put(key, key.encode(), create_only=True, metadata={"n": "1"})
    held = wanted
    assert keys(store.list()) == sorted(held, key=str.encode)
    for key in held:
        assert store.get(key).data == key.encode()
        assert store.head(key).size == len(key.encode())
        assert asyncio.run(store.aget(key)).data == key.encode()
        with pytest.raises(FileExistsError):
            store.put(key, b"", create_only=True)
        store.put(key, key.encode(), if_match=store.head(key).etag)
    for key in held:
        store.delete(key)
    assert keys(store.list()) == []


@pytest.mark.parametrize("key", ["a/../b", "..", "z\x00b", "x" * 2000])
def test_a_key_that_a_server_refuses_is_named(store: Store, place: Place, key: str) -> None:
    with contextlib.suppress(KeyRefused):
        store.put(key, b"data")
        # Moto holds anything but overlong keys.
        assert store.get(key).data == b"data"
        assert place.server == "moto"
        store.delete(key)
        return
    with pytest.raises(KeyRefused) as caught:
        store.put(key, b"data")
    assert repr(key) in str(caught.value)


def test_content_that_a_server_drops_is_noticed(server: tuple[str, str], place: Place) -> None:
    if server[0] != "seaweedfs":
        pytest.skip("only SeaweedFS takes a key that ends in a slash for an empty folder")
    with pytest.raises(KeyRefused, match="does not keep its content"):
        open_store(place.url).put("folder/", b"data")


def test_a_prefix_is_exact(place: Place) -> None:
    if place.server == "disk":
        pytest.skip("a path has no empty parts")
    outer, inner = open_store(place.url), open_store(place.url + "/in")
    outer.put("in/x", b"1")
    outer.put("inner", b"2")
    outer.put("in-x", b"3")
    assert keys(inner.list()) == ["x"]
    if place.server == "moto":
        # A folder's marker has no name below it.
        outer.put("in/", b"")
        assert keys(inner.list()) == ["x"]
        double = open_store(place.url + "//")
        double.put("x", b"4")
        assert double.get("x").data == b"4"
        assert "/x" in keys(outer.list())


def test_a_long_listing_is_sorted(store: Store, place: Place) -> None:
    stems = [
        f"{n:04}"
        # Three pages; moto's are slow.
        for n in range(1250 if place.server != "moto" else 520)
    ]
    wanted = [f"images/{stem}.jpg" for stem in stems] + [f"images-{stem}" for stem in stems]
    wanted += ["images", "images.txt", "images/0000", "images0"] if place.server != "disk" else ["images0"]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), wanted))
    wanted.sort(key=str.encode)
    assert keys(store.list()) == wanted
    assert keys(store.list("images/")) == [key for key in wanted if key.startswith("images/")]


def race(number: int, action: Callable[[int], str]) -> Counter[str]:
    """What became of several who began at the same time."""
    barrier = threading.Barrier(number)

    def run(who: int) -> str:
        barrier.wait()
        return action(who)

    with ThreadPoolExecutor(number) as pool:
        return Counter(pool.map(run, range(number)))


def test_of_eight_who_create_one_wins(place: Place) -> None:
    if place.server == "moto":
        pytest.skip("moto checks the condition and writes in two steps, so of two writers both may win")
    stores = [open_store(place.url) for _ in range(8)]
    for store in stores:
        store.delete("connect")
    # Whose locks are polled once a second.
    for turn in range(1 if place.server == "seaweedfs" else 3):

        def create(who: int, key: str = f"lease/{turn}") -> str:
            try:
                stores[who].put(key, b"%d" % who, create_only=True)
            except FileExistsError:
                return "lost"
            return "won"

        assert race(8, create) == {"won": 1, "lost": 7}
        assert len(stores[0].get(f"lease/{turn}").data) == 1


def test_counting_by_compare_and_swap_loses_nothing(place: Place) -> None:
    if place.server == "moto":
        pytest.skip("moto checks the condition and writes in two steps, so of two writers both may win")
    stores = [open_store(place.url) for _ in range(5)]
    stores[0].put("count", b"0")

    def count(who: int) -> str:
        done = 0
        while done < 4:
            data, etag, _ = stores[who].get("count")
            with contextlib.suppress(PreconditionFailed):
                stores[who].put("count", b"%d" % (int(data) + 1), if_match=etag)
                done += 1
        return "counted"

    assert race(5, count) == {"counted": 5}
    assert stores[0].get("count").data == b"20"


def test_swapping_what_is_gone_fails(store: Store) -> None:
    etag = store.put("state", b"1")
    store.put("state", b"2")
    with pytest.raises(PreconditionFailed, match="state"):
        store.put("state", b"3", if_match=etag)
    store.delete("state")
    with pytest.raises(PreconditionFailed, match="state"):
        store.put("state", b"3", if_match=etag)
    assert list(store.list()) == []


def test_large_objects_go_up_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MULTIPART_BYTES", 6 * 2**20)
    data = os.urandom(2**20) * 13
    etag = store.put("large", data, metadata={"n": "1"}, content_type="application/octet-stream")
    assert store.get("large").data == data
    assert store.head("large").etag == etag
    assert store.put("once", data, create_only=True)
    assert store.get("once").data == data


@pytest.mark.parametrize("metadata", [{"Upper": "x"}, {"a b": "x"}, {"n": "é"}, {"n": "a\nb"}, {"n": " x"}])
def test_metadata_that_headers_cannot_carry(store: Store, place: Place, metadata: dict[str, str]) -> None:
    if place.server == "disk":
        store.put("a", b"", metadata=metadata)
        return
    with pytest.raises(ValueError, match="ASCII"):
        store.put("a", b"", metadata=metadata)


def test_check_accepts_a_good_place_and_writes_nothing(store: Store) -> None:
    store.check(write=True)
    assert list(store.list()) == []
    store.make_bucket()
    store.check()


def test_a_missing_bucket_is_the_users_to_mend_and_is_not_made(server: tuple[str, str]) -> None:
    if server[0] == "disk":
        pytest.skip("a directory is made by the first put")
    missing = open_store("s3://no-such-bucket-here/x", "--destination")
    requests: list[Callable[[], object]] = [
        missing.check,
        lambda: missing.check(write=True),
        lambda: missing.put("a", b""),
        lambda: missing.get("a"),
        lambda: list(missing.list()),
        lambda: asyncio.run(missing.aget("a")),
    ]
    for request in requests:
        with refused("bucket-missing") as caught:
            request()
        assert caught.value.line.startswith("--destination s3://no-such-bucket-here/x: ")
