"""The bucket itself: whether it is there, whether it may be used, and how it is made."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from attgan.errors import UserError
from flows.storage.s3 import faults

PROBE = ".attgan-probe"  # never written


def look(client: Any, bucket: str, prefix: str, where: str) -> dict[str, Any]:
    """Ask for the bucket, and if it is refused, for the reason.

    Returns:
        botocore's response, a refusal too when it says that these credentials may not look at the bucket: they may
        still be good for its objects.

    Raises:
        UserError: no such bucket, or credentials or settings that the server does not accept.
        StorageError: no answer.
    """
    endpoint = client.meta.endpoint_url
    try:
        return client.head_bucket(Bucket=bucket)
    except ClientError as error:
        response, fault = error.response, faults.of_boto(error)
    except BotoCoreError as error:
        raise faults.unreachable(error, where, endpoint) from None
    if fault.status in (400, 401, 403):  # the answer to a HEAD has no body that would tell the reason
        denied = _listing_fault(client, bucket, prefix, where)
        if denied is None or denied.code in faults.DENIED:
            return response
        fault = denied
    raise faults.at_connection(fault, bucket, where, endpoint)


def check(client: Any, bucket: str, prefix: str, where: str, write: bool) -> None:
    """Whether the bucket can be listed, and written to with conditions; nothing is written.

    Raises:
        UserError: it cannot, and only the user can mend that.
        StorageError: no answer.
    """
    endpoint = client.meta.endpoint_url
    look(client, bucket, prefix, where)
    fault = _listing_fault(client, bucket, prefix, where)
    if fault is not None:
        raise faults.at_connection(fault, bucket, where, endpoint)
    if not write:
        return
    try:  # asks for the right to write, and cannot succeed: nothing has this ETag
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
        f"{where}: {endpoint} does not honour conditional writes (If-Match), which exactly-once rests on",
    )


def create(client: Any, bucket: str, where: str) -> None:
    """Make the bucket in the client's region, unless it is there already.

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
        if fault.code != "BucketAlreadyOwnedByYou":  # another process was faster
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
