"""Requests for objects whose keys obstore cannot express, through boto3. Such keys are rare, so this may be slow."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from flows.storage.errors import KeyRefused
from flows.storage.objects import Fetched, ObjectInfo


def get(client: Any, bucket: str, key: str) -> Fetched:
    """The whole object."""
    response = client.get_object(Bucket=bucket, Key=key)
    return Fetched(response["Body"].read(), response["ETag"].strip('"'), response.get("Metadata", {}))


def read_range(client: Any, bucket: str, key: str, start: int, end: int, etag: str) -> bytes:
    """Bytes ``start`` to ``end`` (exclusive) of the object with this ETag."""
    response = client.get_object(
        Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{etag}"'
    )
    return response["Body"].read()


def head(client: Any, bucket: str, key: str, name: str) -> ObjectInfo:
    """The object's size, ETag, time and metadata. ``name`` is its key relative to the store."""
    response = client.head_object(Bucket=bucket, Key=key)
    return ObjectInfo(
        name,
        response["ContentLength"],
        response["ETag"].strip('"'),
        response["LastModified"].astimezone(UTC),
        response.get("Metadata", {}),
    )


def put(
    client: Any,
    bucket: str,
    key: str,
    name: str,
    data: bytes,
    create_only: bool,
    if_match: str | None,
    metadata: Mapping[str, str],
    content_type: str | None,
) -> str:
    """Store the object, and check that its content was stored.

    Some servers take a key that ends in a slash for a folder.

    ``name`` is the key relative to the store.

    Raises:
        KeyRefused: the server accepted the object, but did not keep its content.
    """
    conditions = {"IfNoneMatch": "*"} if create_only else {"IfMatch": f'"{if_match}"'} if if_match else {}
    kind = {"ContentType": content_type} if content_type else {}
    response = client.put_object(
        Bucket=bucket, Key=key, Body=data, Metadata=dict(metadata), **conditions, **kind
    )
    if head(client, bucket, key, name).size != len(data):
        raise KeyRefused(f"key {name!r}: the server accepts it but does not keep its content")
    return response["ETag"].strip('"')


def delete(client: Any, bucket: str, key: str) -> None:
    """Remove the object, if there is one."""
    client.delete_object(Bucket=bucket, Key=key)
