"""Credentials that change, requests without any, and encrypted connections, each through both clients."""

import datetime
import json
import os
import ssl
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flows.storage import StorageError, open_store
from flows.storage.s3 import aws
from flows.storage.s3.store import S3Store
from tests.support.refusals import refused
from tests.support.servers.breaking_proxy import BreakingProxy

pytestmark = pytest.mark.stack
# Carried by boto3.
ODD = "odd\tkey"
FreshBucket = Callable[..., str]


def read_by_both(url: str) -> tuple[bytes, bytes]:
    """The same content through obstore and through boto3."""
    store = open_store(url)
    return store.get("a.jpg").data, store.get(ODD).data


@pytest.mark.seaweedfs(reason="moto lets anybody in")
def test_renewed_credentials_are_used(
    s3_server: dict[str, str], fresh_bucket: FreshBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As with roles and single sign-on: botocore renews credentials, and obstore must not keep the old ones."""
    url = f"s3://{fresh_bucket(s3_server)}"
    answer, script = tmp_path / "answer.json", tmp_path / "credentials"

    def issue(secret: str) -> None:
        # So near that they are renewed before every request.
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
        keys = {"AccessKeyId": s3_server["AWS_ACCESS_KEY_ID"], "SecretAccessKey": secret}
        answer.write_text(json.dumps({"Version": 1, "Expiration": soon.isoformat(), **keys}))

    script.write_text(f"#!{sys.executable}\nprint(open({str(answer)!r}).read())\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = {script}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "role")
    issue(s3_server["AWS_SECRET_ACCESS_KEY"])
    store = open_store(url)
    store.put("a.jpg", b"1")
    issue("revoked-secret")
    time.sleep(0.2)
    with pytest.raises(StorageError, match="SignatureDoesNotMatch") as caught:
        store.get("a.jpg")
    assert "revoked-secret" not in str(caught.value)
    issue(s3_server["AWS_SECRET_ACCESS_KEY"])
    time.sleep(0.2)
    assert store.get("a.jpg").data == b"1"


def test_unsigned_requests(
    moto_server: dict[str, str], fresh_bucket: FreshBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = fresh_bucket(moto_server)
    url = f"s3://{bucket}"
    client = boto3.client("s3")
    for key, data in (("a.jpg", b"1"), (ODD, b"2")):
        client.put_object(Bucket=bucket, Key=key, Body=data, ACL="public-read")
    with BreakingProxy(moto_server["AWS_ENDPOINT_URL"]) as proxy:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with refused("aws-credentials-missing"):
            open_store(url).get("a.jpg")
        assert proxy.seen == []
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        store = open_store(url)
        store.check()
        assert read_by_both(url) == (b"1", b"2")
        assert [info.key for info in store.list()] == ["a.jpg", ODD]
        assert len(proxy.heads) >= 5
        assert not [head for head in proxy.heads if "\nauthorization:" in head or "x-amz-signature" in head]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        # For the bucket to be deleted.
        monkeypatch.setenv(name, moto_server[name])


def test_a_bucket_in_another_region(
    moto_server: dict[str, str], fresh_bucket: FreshBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_bucket(moto_server)
    # Only there does the region decide the endpoint.
    monkeypatch.setattr(aws, "_is_amazon", lambda endpoint: True)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    store = open_store("s3://in-ireland")
    store.make_bucket()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store.put("a.jpg", b"1")
    assert isinstance(store, S3Store)
    assert store.connection().objects.config["region"] == "eu-west-1"
    assert store.connection().client.meta.region_name == "eu-west-1"


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issued_by: ec.EllipticCurvePrivateKey, ca: bool
) -> bytes:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    )
    return builder.sign(issued_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def tls_for_localhost(folder: Path) -> ssl.SSLContext:
    """A server's TLS settings. The authority that vouches for its certificate is left in ``ca.pem``."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate("authority", authority, "authority", authority, ca=True))
    (folder / "server.pem").write_bytes(
        certificate("localhost", server, "authority", authority, ca=False)
        + server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def test_tls_with_a_bundle_of_ones_own(
    s3_server: dict[str, str], fresh_bucket: FreshBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"s3://{fresh_bucket(s3_server)}"
    open_store(url).put("a.jpg", b"1")
    open_store(url).put(ODD, b"2")
    with BreakingProxy(s3_server["AWS_ENDPOINT_URL"], tls=tls_for_localhost(tmp_path)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with refused("aws-certificate-unknown"):
            open_store(url).check()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert read_by_both(url) == (b"1", b"2")


def test_nothing_that_is_printed_holds_the_secret(
    s3_server: dict[str, str], fresh_bucket: FreshBucket, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"s3://{fresh_bucket(s3_server)}"
    store = open_store(url)
    assert isinstance(store, S3Store)
    with caplog.at_level("INFO"):
        store.check(write=True)
        store.put("a.jpg", b"1")
        connection = store.connection()
    texts = [
        repr(store),
        str(store),
        repr(connection),
        repr(connection.objects),
        repr(connection.client),
        caplog.text,
    ]
    texts += [str(connection.objects.config), str(vars(store)), repr(store.filesystem())]
    assert not [text for text in texts if os.environ["AWS_SECRET_ACCESS_KEY"] in text]
