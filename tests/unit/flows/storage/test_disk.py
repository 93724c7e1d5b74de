"""A directory as a store: the order of listings, what a key may not reach, and puts that are whole or not at all."""

import contextlib
import errno
import fcntl
import logging
import os
import pickle
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attgan.errors import UserError
from flows.storage import KeyRefused, StorageError, Store, disk, open_store
from flows.storage.errors import CredentialsRefused
from tests.support.refusals import refused

names = st.text(alphabet=" -./0aé😀~", min_size=1, max_size=6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def keys(store: Store, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(names, max_size=12), names)
def test_lists_what_was_put_as_s3_would(tmp_path: Path, wanted: set[str], prefix: str) -> None:
    store = open_store(str(tmp_path / os.urandom(8).hex()))
    held = set()
    for key in sorted(wanted):
        # Such as a file below a file.
        with contextlib.suppress(KeyRefused):
            store.put(key, key.encode())
            held.add(key)
    in_order = sorted(held, key=str.encode)
    assert keys(store) == in_order
    assert keys(store, prefix) == [key for key in in_order if key.startswith(prefix)]
    for key in held:
        assert store.get(key).data == key.encode()
        assert store.head(key).etag == store.get(key).etag


@pytest.mark.parametrize(
    "key", ["../out", "a/../../out", "/etc/hostname", "a//b", "a/", "a\0b", ".attgan-put-1"]
)
def test_keys_that_lead_elsewhere_are_refused_by_name(store: Store, tmp_path: Path, key: str) -> None:
    (tmp_path / "out").write_bytes(b"outside")
    actions: list[Callable[[], object]] = [
        lambda: store.get(key),
        lambda: store.head(key),
        lambda: store.put(key, b"inside"),
        lambda: store.put(key, b"inside", create_only=True),
        lambda: store.delete(key),
    ]
    for action in actions:
        with pytest.raises(KeyRefused) as caught:
            action()
        assert repr(key) in str(caught.value)
    assert (tmp_path / "out").read_bytes() == b"outside"
    assert keys(store) == []


def test_links_that_lead_outside_are_not_followed(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store.put("inside", b"data")
    root = tmp_path / "store"
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "alias").symlink_to("inside")
    (root / "broken").symlink_to("nowhere")
    (root / "loop").symlink_to(".")
    with caplog.at_level(logging.WARNING):
        assert keys(store) == ["alias", "inside"]
    assert "4 symbolic links" in caplog.text
    assert keys(store, "folder/") == []
    assert store.get("alias").data == b"data"
    for key in ("file", "folder/secret", "loop/inside"):
        with pytest.raises(KeyRefused, match=key):
            store.get(key)
    for key in ("folder/new", "loop/new"):
        with pytest.raises(KeyRefused, match=key):
            store.put(key, b"x")
    # The link goes, what it led to stays.
    store.put("file", b"replaced")
    assert (outside / "secret").read_bytes() == b"secret"


def test_pipes_are_no_objects(store: Store, tmp_path: Path) -> None:
    store.make_bucket()
    os.mkfifo(tmp_path / "store" / "pipe")
    assert keys(store) == []
    with pytest.raises(FileNotFoundError):
        # And does not wait for a writer.
        store.get("pipe")


@pytest.mark.parametrize("key", ["taken/below", "folder", "folder/" + "é" * 200])
def test_names_that_a_file_system_cannot_hold(store: Store, key: str) -> None:
    store.put("taken", b"")
    store.put("folder/x", b"")
    for create_only in (False, True):
        with pytest.raises(KeyRefused) as caught:
            store.put(key, b"", create_only=create_only)
        assert repr(key) in str(caught.value)
    assert keys(store) == ["folder/x", "taken"]


def test_a_file_name_that_is_no_text_is_the_users_to_mend(store: Store, tmp_path: Path) -> None:
    store.make_bucket()
    (tmp_path / "store" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    with refused("file-name-not-utf8") as caught:
        keys(store)
    assert r"caf\xe9.jpg" in str(caught.value)


def test_every_put_gives_another_etag(store: Store) -> None:
    """Also within one tick of the file system's clock: else compare-and-swap would miss a change."""
    etags = [store.put("same", b"same") for _ in range(30)]
    assert len(set(etags)) == 30
    assert store.head("same").etag == etags[-1]


def test_a_full_disk_leaves_the_old_file_and_no_debris(store: Store, tmp_path: Path) -> None:
    store.put("a", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="too large"):
            store.put("a", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.get("a").data == b"old"
    assert os.listdir(tmp_path / "store") == ["a"]


def test_without_hard_links_one_of_many_creates_a_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*paths: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)

    def create(number: int) -> str | None:
        with contextlib.suppress(FileExistsError):
            return store.put("a/b", bytes([number]) * 100_000, create_only=True)
        return None

    with ThreadPoolExecutor(8) as pool:
        etags = list(pool.map(create, range(8)))
    (winner,) = [number for number, etag in enumerate(etags) if etag is not None]
    there = store.get("a/b")
    assert (there.etag, there.data) == (etags[winner], bytes([winner]) * 100_000)
    assert os.listdir(tmp_path / "store" / "a") == ["b"]


def test_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    there, missing, file = (str(tmp_path / name) for name in ("", "missing/below", "file"))
    open_store(there).check(write=True)
    open_store(missing).check(write=True)
    assert not (tmp_path / "missing").exists()
    with refused("directory-missing") as caught:
        open_store(missing, "--faces").check()
    assert caught.value.line.startswith("--faces ")
    for write in (False, True):
        with refused("directory-is-file"):
            open_store(file).check(write)
    with refused("directory-is-file"):
        open_store(file + "/below").check(write=True)
    open_store(missing).make_bucket()
    open_store(missing).check()


def test_check_sees_missing_rights() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "locked").mkdir(mode=0)
        folder.chmod(0o555)
        # Root may do anything, so ask as nobody.
        child = os.fork()
        if child == 0:
            said: list[UserError] = []
            codes = {"directory-unreadable", "directory-unwritable"}
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                open_store(str(folder)).check()
                for path, write in ((folder / "locked", False), (folder, True), (folder / "new", True)):
                    try:
                        open_store(str(path), "--to").check(write)
                    except UserError as error:
                        said.append(error)
            finally:
                os._exit(
                    len([error for error in said if error.code in codes and error.line.startswith("--to ")])
                )
        refusals = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        folder.chmod(0o755)
        (folder / "locked").chmod(0o700)
    assert refusals == 3


@pytest.mark.parametrize(
    "error",
    [
        StorageError("s3://b/k: 503"),
        CredentialsRefused("a-rule", "s3://b/k: 403"),
        KeyRefused("key 'x'"),
        UserError("a-rule", "--a b: c"),
    ],
)
def test_errors_travel_between_processes(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_a_lock_that_is_never_given_back_is_a_fault_and_no_hang(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LOCK_SECONDS", 0.2)
    etag = store.put("a", b"1")
    folder = os.open(tmp_path / "store", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(StorageError):
            store.put("a", b"2", if_match=etag)
        assert store.get("a").data == b"1"
    finally:
        os.close(folder)
    store.put("a", b"2", if_match=etag)
    assert keys(store) == ["a"]
