"""Connections to S3, as botocore resolves the standard AWS settings.

Endpoint, region, addressing style, CA bundle, retries and credentials are read by botocore alone; obstore is handed
the results. Two clients that each read the environment would some day disagree.
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

from attgan.errors import UserError
from flows.storage.s3 import bucket, faults, handover, pages

ATTEMPTS = 8  # unless AWS_MAX_ATTEMPTS or the profile says otherwise; about 20 s of backoff
CONNECT_SECONDS = 5
READ_SECONDS = 60
REQUEST_SECONDS = 15 * 60  # one whole transfer, however large
CREDENTIAL_SECONDS = 60


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """An S3 bucket, reached in two ways.

    Attributes:
        client: boto3's S3 client: listings, administration, keys that obstore cannot express.
        objects: obstore's store: all other data.
        endpoint: for messages.
        attempts: how often a request is tried in all.
        lists_by_folder: whether the server lists folder by folder instead of in the keys' order.
    """

    client: Any
    objects: ObjectStore
    endpoint: str
    attempts: int
    lists_by_folder: bool


def connect(name: str, prefix: str, where: str) -> Connection:
    """Connect to a bucket, after one look whether it is there and the credentials are good.

    Args:
        name: the bucket.
        prefix: looked into when the bucket itself may not be.
        where: option and URL, the beginning of messages.

    Raises:
        UserError: no such bucket, wrong credentials, none at all, settings that botocore refuses.
        StorageError: the endpoint does not answer.
    """
    session = open_session(where)
    client = make_client(session, where)
    response = bucket.look(client, name, prefix, where)
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    if region and region != client.meta.region_name and _is_amazon(client.meta.endpoint_url):
        client = make_client(session, where, region=region)  # obstore does not follow redirects to the region
    attempts = client.meta.config.retries["total_max_attempts"]
    return Connection(
        client=client,
        objects=open_objects(session, client, name, attempts, where),
        endpoint=client.meta.endpoint_url,
        attempts=attempts,
        lists_by_folder=headers.get("server", "").startswith("SeaweedFS"),
    )


def open_session(where: str) -> Any:
    """A botocore session with credentials, unless requests are to go unsigned.

    In a worker on the driver's machine they are the driver's (:mod:`flows.storage.s3.handover`).

    Raises:
        UserError: no credentials, or a profile that is not there.
    """
    try:
        session = handover.new_session()
        session.register_component("data_loader", _service_models(session.get_config_variable("data_path")))
        found = _is_anonymous() or session.get_credentials() is not None
    except (BotoCoreError, ValueError) as error:
        raise UserError(
            "aws-settings-invalid", f"{where}: the AWS settings cannot be used: {faults.one_line(error)}"
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
    """botocore's descriptions of S3, read once for all sessions: they take longer than all else."""
    return create_loader(path)


def make_client(session: Any, where: str, *, region: str | None = None, hurried: bool = False) -> Any:
    """An S3 client of the session; no request is made.

    Args:
        session: from :func:`open_session`.
        where: option and URL, the beginning of messages.
        region: instead of the one in the settings.
        hurried: give up an endpoint that does not answer within half a minute: a person is waiting.

    Raises:
        UserError: a setting that botocore refuses.
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
            region = os.environ.get("AWS_REGION")  # all AWS's libraries but botocore read this one
        client = session.create_client("s3", config=config, region_name=region)
    except (BotoCoreError, ValueError) as error:
        raise UserError(
            "aws-settings-invalid", f"{where}: the AWS settings cannot be used: {faults.one_line(error)}"
        ) from None
    pages.read_fast(client)
    return client


def resolve_endpoint(client: Any, name: str) -> tuple[str, bool]:
    """The endpoint to which botocore sends requests for a bucket, and whether the bucket's name is part of its host.

    A request is prepared and caught before it leaves: addressing styles, dual-stack, accelerated and FIPS endpoints
    are thus botocore's business.
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
    """obstore's store of the bucket, with what botocore made of the settings; no request is made.

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
            "aws_endpoint_url_s3": endpoint,  # obstore lets this variable of the environment win otherwise
            "region": region if region and region != "aws-global" else "us-east-1",
            "virtual_hosted_style_request": virtual,
            "skip_signature": _is_anonymous(),
            "disable_bulk_delete": True,  # its XML cannot carry every key
        },
        client_options=options,  # type: ignore[arg-type]
        retry_config={"max_retries": attempts - 1, "retry_timeout": timedelta(seconds=faults.RETRY_SECONDS)},
        credential_provider=None if _is_anonymous() else _credential_provider(session.get_credentials()),
    )


def _credential_provider(credentials: Any) -> Callable[[], Any]:
    """What obstore calls for credentials. botocore renews those that expire; asking it often costs nothing."""

    def provide() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        expires = isinstance(credentials, RefreshableCredentials)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # obstore asks again from 5 minutes before this, so at once: botocore knows better when to renew
            "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIAL_SECONDS) if expires else None,
        }

    return provide


def _is_anonymous() -> bool:
    """Whether requests go unsigned. botocore has no setting for it; this is GDAL's variable."""
    return os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("yes", "true", "1")


def _is_amazon(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
