"""S3 that misbehaves, always in the same way: what is retried, what is reported, and that no byte is ever wrong."""

import asyncio
import contextlib
import os
import pickle
import secrets
from collections.abc import Callable, Iterator

import pyarrow
import pyarrow.parquet
import pytest

from flows.storage import (
    AccessDenied,
    ObjectRefused,
    PreconditionFailed,
    StorageError,
    Store,
    denials,
    open_store,
)
from flows.storage.s3 import aws
from flows.storage.s3.faults import CREDENTIALS
from tests.support.refusals import refused
from tests.support.servers.aws_environment import leading_to
from tests.support.servers.breaking_proxy import BreakingProxy

pytestmark = [pytest.mark.stack, pytest.mark.fault]

DATA = bytes(range(256)) * 400
# Carried by boto3.
ODD = "odd//key"


@pytest.fixture(scope="module")
def proxy(s3_server: dict[str, str]) -> Iterator[BreakingProxy]:
    with leading_to(s3_server) as patch, BreakingProxy(s3_server["AWS_ENDPOINT_URL"]) as proxy:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        patch.setattr(aws, "READ_SECONDS", 0.5)
        yield proxy


@pytest.fixture
def bucket(proxy: BreakingProxy) -> str:
    proxy.plan()
    url = "s3://faults"
    open_store(url).make_bucket()
    return f"{url}/{secrets.token_hex(4)}"


@pytest.fixture
def store(bucket: str) -> Store:
    store = open_store(bucket)
    store.put("a.jpg", DATA)
    store.put(ODD, DATA)
    return store


PASSING = [("hang",), ("503", "reset", "truncate")]


@pytest.mark.parametrize("faults", PASSING, ids="-".join)
def test_reads_survive_passing_faults(proxy: BreakingProxy, store: Store, faults: tuple[str, ...]) -> None:
    for read in (lambda: store.get("a.jpg").data, lambda: asyncio.run(store.aget("a.jpg")).data):
        proxy.plan(*faults)
        assert read() == DATA
        assert len(proxy.seen) == len(faults) + 1
    # Nothing to notice in an answer without a body.
    if "truncate" not in faults:
        proxy.plan(*faults)
        assert store.head("a.jpg").size == len(DATA)
        assert len(proxy.seen) == len(faults) + 1


@pytest.mark.parametrize("fault", ["503"])
def test_odd_keys_and_listings_survive_them_too(proxy: BreakingProxy, store: Store, fault: str) -> None:
    proxy.plan(fault)
    assert store.get(ODD).data == DATA
    assert len(proxy.seen) == 2
    proxy.plan(fault)
    assert [info.key for info in store.list("a")] == ["a.jpg"]
    assert len(proxy.seen) == 2


@pytest.mark.parametrize(
    ("fault", "key"),
    [("503", "new.jpg"), ("409", "new.jpg"), ("409", "new//odd")],
)
def test_create_only_puts_survive_passing_faults(
    proxy: BreakingProxy, store: Store, fault: str, key: str
) -> None:
    proxy.plan(fault, only="PUT")
    store.put(key, DATA, create_only=True)
    assert len([line for line in proxy.seen if line.startswith("PUT")]) == 2
    assert store.get(key).data == DATA


def test_after_a_lost_answer_one_meets_ones_own_object(proxy: BreakingProxy, store: Store) -> None:
    """The documented case: one HEAD tells whose it is."""
    key = secrets.token_hex(4)
    proxy.plan("lost")
    with pytest.raises(FileExistsError, match=key):
        store.put(key, DATA, create_only=True, metadata={"run": "ours"})
    assert store.head(key).metadata == {"run": "ours"}
    proxy.plan("lost", only="PUT")
    with pytest.raises(PreconditionFailed, match=key):
        store.put(key, DATA[::-1], if_match=store.head(key).etag)
    assert store.get(key).data == DATA[::-1]


def no_credentials_in(error: BaseException) -> None:
    for text in (str(error), repr(error), pickle.dumps(error).decode("latin-1")):
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in text
        assert "Signature=" not in text


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_lasting_faults_end_in_an_infrastructure_error(
    proxy: BreakingProxy, bucket: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    store = open_store(bucket)
    store.put("a.jpg", DATA)
    actions: list[Callable[[], object]] = [
        lambda: store.get("a.jpg"),
        lambda: asyncio.run(store.aget("a.jpg")),
    ]
    # Which HEAD and PUT do not notice: their answers have no body.
    if fault != "truncate":
        actions += [
            lambda: store.head("a.jpg"),
            lambda: store.put("b.jpg", DATA),
            lambda: store.put("b.jpg", DATA, create_only=True),
            lambda: store.get(ODD),
            lambda: list(store.list()),
            lambda: open_store(bucket, "--source").get("a.jpg"),
        ]
    for action in actions:
        proxy.plan(fault, forever=True)
        with pytest.raises(StorageError, match=r"s3://faults/\w+") as caught:
            action()
        assert len(proxy.seen) <= 9
        no_credentials_in(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)


def test_a_refusal_in_the_middle_is_infrastructure_not_data(proxy: BreakingProxy, store: Store) -> None:
    for action in (lambda: store.get("a.jpg"), lambda: store.put("b.jpg", DATA), lambda: store.head("a.jpg")):
        proxy.plan("403")
        with pytest.raises(StorageError, match="403") as caught:
            action()
        assert len(proxy.seen) == 1
        no_credentials_in(caught.value)


@pytest.mark.parametrize("key", ["a.jpg", ODD])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("403 InvalidObjectState", ObjectRefused),
        ("403 AccessDenied", AccessDenied),
        ("400 KMS.DisabledException", AccessDenied),
    ],
)
def test_refusals_are_told_apart_by_their_code(
    proxy: BreakingProxy, store: Store, fault: str, kind: type[Exception], key: str
) -> None:
    for request in (lambda: store.get(key), lambda: store.put(key, DATA)):
        proxy.plan(fault)
        with pytest.raises(Exception, match=key) as caught:
            request()
        assert type(caught.value) is kind
        assert len(proxy.seen) == 1


@pytest.mark.parametrize("code", sorted(CREDENTIALS))
def test_credentials_that_expire_are_the_users_to_renew(
    proxy: BreakingProxy, store: Store, code: str
) -> None:
    for request in (lambda: store.get("a.jpg"), lambda: store.get(ODD), lambda: list(store.list())):
        proxy.plan(f"{'400' if 'Token' in code else '403'} {code}")
        with refused("aws-credentials-refused") as caught:
            request()
        no_credentials_in(caught.value)


def test_what_is_denied_alone_is_told_from_what_is_denied_with_all_others(
    proxy: BreakingProxy, store: Store
) -> None:
    requests: list[tuple[str, Callable[[], object], str]] = [
        (r"GET \S*/a\.jpg", lambda: denials.get(store, "a.jpg"), r"GET \S*/(a\.jpg|odd/)"),
        (r"HEAD \S*/a\.jpg", lambda: denials.head(store, "a.jpg"), r"(GET|HEAD) \S*/(a\.jpg|odd/)"),
        (r"PUT \S*/b\.jpg", lambda: denials.put(store, "b.jpg", DATA), "PUT"),
    ]
    for alone, request, with_others in requests:
        for only, kind in ((alone, ObjectRefused), (with_others, AccessDenied)):
            proxy.plan("403", forever=True, only=only)
            with pytest.raises(Exception, match="403") as caught:
                request()
            assert type(caught.value) is kind
    proxy.plan("403", "400 ExpiredToken", only=r"GET \S*/(a\.jpg|odd/)")
    with refused("aws-credentials-refused"):
        denials.get(store, "a.jpg")


BUCKET_ITSELF = r" /faults(\?\S*)? "


def test_check_finds_missing_rights(proxy: BreakingProxy, bucket: str) -> None:
    store = open_store(bucket, "--to")
    store.put("a.jpg", DATA)
    proxy.plan("403", forever=True, only="PUT")
    store.check()
    with refused("aws-access-denied"):
        store.check(write=True)
    proxy.plan("403", forever=True, only=BUCKET_ITSELF)
    with refused("aws-access-denied"):
        store.check()
    with pytest.raises(StorageError, match="AccessDenied"):
        list(store.list())


def test_check_finds_a_server_that_ignores_conditions(
    moto_server: dict[str, str], fresh_bucket: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"s3://{fresh_bucket(moto_server)}/out", "--to")
    with BreakingProxy(moto_server["AWS_ENDPOINT_URL"], drop="if-match") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with refused("conditional-writes-missing"):
            store.check(write=True)
        assert list(store.list()) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server["AWS_ENDPOINT_URL"])


def test_parquet_survives_faults(proxy: BreakingProxy, store: Store) -> None:
    table = pyarrow.table({"image": [os.urandom(50_000) for _ in range(300)], "n": list(range(300))})
    filesystem, base = store.filesystem()
    proxy.plan("503", "reset", "lost")
    pyarrow.parquet.write_table(table, f"{base}/part.parquet", filesystem=filesystem, row_group_size=100)
    for fault in ("503", "reset", "truncate"):
        proxy.plan(fault, fault)
        assert pyarrow.parquet.read_table(f"{base}/part.parquet", filesystem=filesystem).equals(table)
    store.put("part.parquet", DATA)
    proxy.plan()


def test_a_failed_upload_leaves_no_file(
    proxy: BreakingProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    store = open_store(bucket)
    store.check()
    filesystem, base = store.filesystem()
    proxy.plan()
    with contextlib.suppress(StorageError), filesystem.open_output_stream(f"{base}/file") as file:
        file.write(DATA)
        proxy.plan("503", forever=True)
        for _ in range(400):
            file.write(DATA)
    assert len(proxy.seen) > 0
    proxy.plan()
    assert [info.key for info in store.list()] == []


def test_an_unreachable_endpoint_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = open_store(bucket, "--source")
    with pytest.raises(StorageError, match=r"^--source s3://faults.* http://127\.0\.0\.1:9") as caught:
        store.check()
    no_credentials_in(caught.value)


def test_an_endpoint_that_goes_away(
    proxy: BreakingProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    with BreakingProxy(proxy.url) as mortal:
        monkeypatch.setenv("AWS_ENDPOINT_URL", mortal.url)
        store = open_store(bucket)
        store.put("a.jpg", DATA)
    for action in (lambda: store.get("a.jpg"), lambda: store.put("b.jpg", DATA, create_only=True)):
        with pytest.raises(StorageError, match="Connection refused"):
            action()


def test_an_endpoint_that_says_nothing_is_named(
    proxy: BreakingProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "CONNECT_SECONDS", 1)
    proxy.plan("hang", forever=True)
    with pytest.raises(StorageError, match=proxy.url):
        open_store(bucket).check()


@pytest.mark.seaweedfs(reason="moto lets anybody in")
def test_refused_credentials_are_the_users_to_mend(
    s3_server: dict[str, str], fresh_bucket: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = fresh_bucket(s3_server)
    good = s3_server["AWS_SECRET_ACCESS_KEY"]
    for name, value, code in (
        ("AWS_SECRET_ACCESS_KEY", "wrong-but-secret", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN", "InvalidAccessKeyId"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            for request in (lambda s: s.check(), lambda s: s.get("a"), lambda s: list(s.list())):
                with refused("aws-credentials-refused") as caught:
                    request(open_store(f"s3://{bucket}"))
                assert code in caught.value.line
                assert good not in str(caught.value)
                assert "wrong-but-secret" not in str(caught.value)
