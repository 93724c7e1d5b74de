"""Checks that a bucket exists and may be used, and creates one."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from attgan.errors import UserError
from flows.storage.s3 import faults

# The key of a conditional request that is meant to fail. Nothing is ever written to it.
PROBE = ".attgan-probe"


def look(client: Any, bucket: str, prefix: str, where: str) -> dict[str, Any]:
    """Request the bucket, and after a refusal find the reason.

    Returns:
        botocore's response. It may be the refusal of credentials that have no right to look at the bucket, because they
        may still have rights to its objects.

    Raises:
        UserError: there is no such bucket, or the server does not accept the credentials or settings.
        StorageError: the server does not answer.
    """
    endpoint = client.meta.endpoint_url
    try:
        return client.head_bucket(Bucket=bucket)
    except ClientError as error:
        response, fault = error.response, faults.of_boto(error)
    except BotoCoreError as error:
        raise faults.unreachable(error, where, endpoint) from None
    # The answer to a HEAD request has no body, so the reason comes from a listing.
    if fault.status in (400, 401, 403):
        denied = _listing_fault(client, bucket, prefix, where)
        if denied is None or denied.code in faults.DENIED:
            return response
        fault = denied
    raise faults.at_connection(fault, bucket, where, endpoint)


def check(client: Any, bucket: str, prefix: str, where: str, write: bool) -> None:
    """Check that the bucket can be listed and, for writing, accepts conditional writes. Nothing is written.

    Raises:
        UserError: it cannot be used, and only the user can change that.
        StorageError: the server does not answer.
    """
    endpoint = client.meta.endpoint_url
    look(client, bucket, prefix, where)
    fault = _listing_fault(client, bucket, prefix, where)
    if fault is not None:
        raise faults.at_connection(fault, bucket, where, endpoint)
    if not write:
        return
    # This needs the right to write, but cannot succeed: no object has this ETag.
    try:
        client.put_object(Bucket=bucket, Key=prefix + PROBE, Body=b"", IfMatch='"0"')
        client.delete_object(Bucket=bucket, Key=prefix + PROBE)
    except ClientError as error:
        fault = faults.of_boto(error)
        if fault.status == 412 or (fault.status == 404 and fault.code not in faults.MISSING_BUCKET):
            return
        if fault.code not in ("NotImplemented", "InvalidArgument"):
            raise faults.at_connection(fault, bucket, where, endpoint) from None
    except BotoCoreError as error:
        raise faults.unreachable(error, where, endpoint) from None
    raise UserError(
        "conditional-writes-missing",
        f"{where}: {endpoint} does not support conditional writes (If-Match), which exactly-once depends on",
    )


def create(client: Any, bucket: str, where: str) -> None:
    """Create the bucket in the client's region unless it exists.

    Raises:
        UserError: the name is taken or not allowed, or the credentials have no right to make it.
        StorageError: no answer.
    """
    endpoint, region = client.meta.endpoint_url, client.meta.region_name
    place = {} if region in (None, "us-east-1", "aws-global") else {"LocationConstraint": region}
    try:
        try:
            client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if faults.of_boto(error).status != 404:
                raise
            client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
    except ClientError as error:
        fault = faults.of_boto(error)
        # With this code, another process was faster.
        if fault.code != "BucketAlreadyOwnedByYou":
            raise faults.at_connection(fault, bucket, where, endpoint) from None
    except BotoCoreError as error:
        raise faults.unreachable(error, where, endpoint) from None


def _listing_fault(client: Any, bucket: str, prefix: str, where: str) -> faults.Fault | None:
    """Why the prefix cannot be listed; None if it can."""
    try:
        client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except ClientError as error:
        return faults.of_boto(error)
    except BotoCoreError as error:
        raise faults.unreachable(error, where, client.meta.endpoint_url) from None
    return None
