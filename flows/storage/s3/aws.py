"""Connects to S3 with the standard AWS settings: ``AWS_ENDPOINT_URL``, ``AWS_PROFILE``, ``AWS_REGION`` …

Only botocore reads endpoint, region, addressing style, CA bundle, retries and credentials. obstore receives the
results. If both clients read the environment, they would sooner or later disagree.
"""

import functools
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader
from obstore.store import S3Store as ObjectStore

from attgan.errors import UserError, one_line
from flows.storage.s3 import bucket, faults, handover, pages

# Attempts of a request, unless AWS_MAX_ATTEMPTS or the profile has another number: about 20 s of backoff.
ATTEMPTS = 8
CONNECT_SECONDS = 5
READ_SECONDS = 60
# For one whole transfer, however large.
REQUEST_SECONDS = 15 * 60
CREDENTIAL_SECONDS = 60


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """A connection to a bucket through both clients.

    Attributes:
        client: boto3's S3 client, for listings, administration, and keys that obstore cannot express.
        objects: obstore's store, for all other data.
        endpoint: its URL, for messages.
        attempts: how often a request is tried.
        lists_by_folder: whether the server lists folder by folder and not in the keys' order.
    """

    client: Any
    objects: ObjectStore
    endpoint: str
    attempts: int
    lists_by_folder: bool


def connect(name: str, prefix: str, where: str) -> Connection:
    """Connect to a bucket, after one request that checks whether it exists and the credentials are valid.

    Args:
        name: the bucket.
        prefix: is listed if the bucket itself must not be looked at.
        where: option and URL, the beginning of messages.

    Raises:
        UserError: there is no such bucket, credentials are wrong or missing, or botocore does not accept a setting.
        StorageError: the endpoint does not answer.
    """
    session = open_session(where)
    client = make_client(session, where)
    response = bucket.look(client, name, prefix, where)
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    if region and region != client.meta.region_name and _is_amazon(client.meta.endpoint_url):
        # obstore does not follow redirects to the bucket's region.
        client = make_client(session, where, region=region)
    attempts = client.meta.config.retries["total_max_attempts"]
    return Connection(
        client=client,
        objects=open_objects(session, client, name, attempts, where),
        endpoint=client.meta.endpoint_url,
        attempts=attempts,
        lists_by_folder=headers.get("server", "").startswith("SeaweedFS"),
    )


def open_session(where: str) -> Any:
    """A botocore session with credentials, unless requests are not to be signed.

    In a worker on the driver's machine they are the driver's (:mod:`flows.storage.s3.handover`).

    Raises:
        UserError: there are no credentials, or the profile does not exist.
    """
    try:
        session = handover.new_session()
        session.register_component("data_loader", _service_models(session.get_config_variable("data_path")))
        found = _is_anonymous() or session.get_credentials() is not None
    except (BotoCoreError, ValueError) as error:
        raise UserError(
            "aws-settings-invalid", f"{where}: the AWS settings cannot be used: {one_line(error)}"
        ) from None
    if not found:
        raise UserError(
            "aws-credentials-missing",
            f"{where}: no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or AWS_NO_SIGN_REQUEST=YES for a public bucket",
        )
    return session


@functools.cache
def _service_models(path: str | None) -> Any:
    """botocore's description of S3, read once for all sessions: reading it is the slowest part of opening one."""
    return create_loader(path)


def make_client(session: Any, where: str, *, region: str | None = None, hurried: bool = False) -> Any:
    """An S3 client of the session; no request is made.

    Args:
        session: from :func:`open_session`.
        where: option and URL, the beginning of messages.
        region: instead of the one in the settings.
        hurried: give up within half a minute if the endpoint does not answer, because a person is waiting.

    Raises:
        UserError: botocore does not accept a setting.
    """
    try:
        attempts = session.get_config_variable("max_attempts") or ATTEMPTS
        config = Config(
            retries={
                "total_max_attempts": min(attempts, 3) if hurried else attempts,
                "mode": session.get_config_variable("retry_mode") or "standard",
            },
            connect_timeout=CONNECT_SECONDS,
            read_timeout=CONNECT_SECONDS if hurried else READ_SECONDS,
            max_pool_connections=16,
            signature_version=UNSIGNED if _is_anonymous() else None,
        )
        if region is None and "AWS_DEFAULT_REGION" not in os.environ:
            # All libraries of AWS read this variable, except botocore.
            region = os.environ.get("AWS_REGION")
        client = session.create_client("s3", config=config, region_name=region)
    except (BotoCoreError, ValueError) as error:
        raise UserError(
            "aws-settings-invalid", f"{where}: the AWS settings cannot be used: {one_line(error)}"
        ) from None
    pages.read_fast(client)
    return client


def resolve_endpoint(client: Any, name: str) -> tuple[str, bool]:
    """The endpoint to which botocore sends requests for a bucket, and whether the bucket's name is part of its host.

    botocore prepares a request, which is caught before it is sent. So botocore decides on addressing styles,
    dual-stack, accelerated and FIPS endpoints.
    """
    seen: list[str] = []

    def catch(request: Any, **_: Any) -> AWSResponse:
        seen.append(request.url)
        return AWSResponse(request.url, 200, {}, _Nothing())

    client.meta.events.register_first("before-send.s3.HeadObject", catch)
    try:
        client.head_object(Bucket=name, Key="key")
    finally:
        client.meta.events.unregister("before-send.s3.HeadObject", catch)
    url = urlsplit(seen[0])
    path = url.path.removesuffix("/key")
    virtual = not path.endswith(f"/{name}")
    base = path if virtual else path.removesuffix(f"/{name}")
    return f"{url.scheme}://{url.netloc}{base}", virtual


class _Nothing(io.BytesIO):
    """The body of a response that was never sent."""

    def stream(self, **_: Any) -> list[bytes]:
        return []


def open_objects(session: Any, client: Any, name: str, attempts: int, where: str) -> ObjectStore:
    """obstore's store of the bucket, with the settings that botocore has resolved. No request is sent.

    Raises:
        UserError: the CA bundle cannot be read.
    """
    endpoint, virtual = resolve_endpoint(client, name)
    region = client.meta.region_name
    options: dict[str, Any] = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=READ_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
    }
    bundle = session.get_config_variable("ca_bundle")
    if bundle and endpoint.startswith("https://"):
        try:
            with open(bundle, "rb") as file:
                options["root_certificate"] = file.read()
        except OSError as error:
            raise UserError(
                "aws-ca-bundle-unreadable",
                f"{where}: AWS_CA_BUNDLE {bundle!r} cannot be read: {error.strerror}",
            ) from None
    return ObjectStore(
        name,
        config={
            "endpoint": endpoint,
            # Otherwise the environment variable of this name would override the endpoint.
            "aws_endpoint_url_s3": endpoint,
            "region": region if region and region != "aws-global" else "us-east-1",
            "virtual_hosted_style_request": virtual,
            "skip_signature": _is_anonymous(),
            # The XML of a bulk delete cannot express every key.
            "disable_bulk_delete": True,
        },
        client_options=options,  # type: ignore[arg-type]
        retry_config={"max_retries": attempts - 1, "retry_timeout": timedelta(seconds=faults.RETRY_SECONDS)},
        credential_provider=None if _is_anonymous() else _credential_provider(session.get_credentials()),
    )


def _credential_provider(credentials: Any) -> Callable[[], Any]:
    """The function that obstore calls for credentials. botocore renews those that expire."""

    def provide() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        expires = isinstance(credentials, RefreshableCredentials)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # obstore asks again from five minutes before this time on, that is for each request. That is cheap, and
            # botocore decides when to renew.
            "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIAL_SECONDS) if expires else None,
        }

    return provide


def _is_anonymous() -> bool:
    """Whether requests are not signed. botocore has no variable for it; this one is GDAL's."""
    return os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("yes", "true", "1")


def _is_amazon(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
