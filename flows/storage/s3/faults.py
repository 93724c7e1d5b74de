"""Translates failures of S3 requests into the errors of the storage interface.

Messages have the server's error code and sentence. They have nothing else of its answer, which may quote the signed
request.

Retries: a request that fails with 5xx or 429 is repeated by the client that sent it, botocore or obstore, as
``flows/storage/s3/aws.py`` sets them up. What those do not repeat, :func:`pause_before_next` decides here.
"""

import random
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from attgan.errors import UserError, one_line
from flows.storage.errors import (
    AccessDenied,
    CredentialsRefused,
    KeyRefused,
    ObjectRefused,
    PreconditionFailed,
    StorageError,
)

DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "403"})
# The fault is the credentials' or this machine's clock's, and never one object's.
CREDENTIALS = frozenset(
    {
        *("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed"),
        *("SignatureDoesNotMatch", "TokenRefreshRequired"),
    }
)
# The object is in an archive and has to be restored first.
ARCHIVED = "InvalidObjectState"
MISSING_BUCKET = frozenset({"NoSuchBucket"})
BAD_NAME = frozenset({"KeyTooLongError", "InvalidURI"})
# Codes that ask for another attempt, although clients do not retry their HTTP status.
TRANSIENT = frozenset({"RequestTimeout", "ConditionalRequestConflict", "OperationAborted"})
# The exceptions that requests of both clients raise.
RAISED = (ClientError, BotoCoreError, BaseError, FileNotFoundError)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
RETRY_SECONDS = 120


class Fault(NamedTuple):
    """An HTTP status (None without a complete answer), the server's error code, and its sentence."""

    status: int | None
    code: str
    detail: str

    def __str__(self) -> str:
        return " ".join(
            str(part) for part in (self.status, self.code, self.detail) if part and part != str(self.status)
        )


def of_boto(error: ClientError) -> Fault:
    """The fault that boto3 reports."""
    details = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(details.get("Code", ""))
    if status is None and code.isdigit():
        status = int(code)
    return Fault(status, code, one_line(details.get("Message", "")))


def of_obstore(error: Exception) -> Fault:
    """The fault that obstore reports. Its errors are text that contains the server's XML."""
    text, _, debug = str(error).partition("\n\nDebug source:")
    status = re.search(r"status code: (\d{3})", text)
    if status is None:
        cause = re.search(r'(?:message|error): "([^"]+)"', debug) or re.search(
            r"(TimedOut|IncompleteBody|InvalidCertificate)", debug
        )
        return Fault(None, "", one_line(cause.group(1) if cause else text.rpartition(" - ")[2]))
    code = re.search(r"<Code>([^<]*)</Code>", text)
    message = re.search(r"<Message>([^<]*)</Message>", text)
    return Fault(
        int(status.group(1)), code.group(1) if code else "", one_line(message.group(1) if message else "")
    )


def unreachable(error: BotoCoreError, where: str, endpoint: str) -> Exception:
    """The error for a first request that got no answer, or could not be sent."""
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UserError(
            "aws-certificate-unknown",
            f"{where}: {endpoint} has a certificate that is not trusted; AWS_CA_BUNDLE names the authorities",
        )
    if isinstance(error, HTTPClientError | BotoConnectionError | IncompleteReadError):
        return StorageError(f"{where}: no answer from {endpoint}: {one_line(error)}")
    return UserError("aws-settings-invalid", f"{where}: the AWS settings cannot be used: {one_line(error)}")


def at_connection(fault: Fault, bucket: str, where: str, endpoint: str) -> Exception:
    """The error for a first request that the server has refused, because of the bucket or the credentials."""
    if fault.status == 404 or fault.code in MISSING_BUCKET:
        return UserError(
            "bucket-missing",
            f"{where}: there is no bucket {bucket!r} at {endpoint}; create it or correct the name",
        )
    if fault.status is None or fault.status >= 500 or fault.status == 429:
        return StorageError(f"{where}: {endpoint} failed: {fault}")
    if fault.code in DENIED:
        return UserError(
            "aws-access-denied", f"{where}: these AWS credentials do not allow it at {endpoint}: {fault}"
        )
    return UserError(
        "aws-credentials-refused",
        f"{where}: {endpoint} does not accept the AWS credentials or settings: {fault}",
    )


def at_object(
    error: Exception, name: str, key: str, *, create_only: bool = False, replaces: bool = False
) -> Exception:
    """The error for a request for one object that failed after all retries.

    Args:
        error: what obstore or boto3 raised.
        name: the object's URL.
        key: its key, for the user.
        create_only: whether the request was a create-only put.
        replaces: whether it was a put that replaces an object with a certain ETag.
    """
    if isinstance(error, BotoCoreError) or not isinstance(error, ClientError | BaseError | OSError):
        return StorageError(f"{name}: {one_line(error)}")
    fault = of_boto(error) if isinstance(error, ClientError) else of_obstore(error)
    if fault.code in MISSING_BUCKET:
        return UserError("bucket-missing", f"{name}: the bucket no longer exists")
    if isinstance(error, PreconditionError) or (fault.status == 412 and not create_only):
        return PreconditionFailed(f"{name}: is not the expected object, or no longer")
    if (
        create_only
        and fault.code not in TRANSIENT
        and (isinstance(error, AlreadyExistsError) or fault.status in (409, 412))
    ):
        return FileExistsError(name)
    if isinstance(error, FileNotFoundError) or fault.status == 404:
        gone = f"{name}: is not there any more"
        return PreconditionFailed(gone) if replaces else FileNotFoundError(name)
    if fault.code in CREDENTIALS:
        return CredentialsRefused(
            "aws-credentials-refused", f"{name}: the AWS credentials are not accepted: {fault}"
        )
    if fault.code == ARCHIVED:
        return ObjectRefused(f"key {key!r}: {fault}")
    if fault.status in (401, 403) or fault.code.startswith("KMS.") or _needs_its_own_key(fault):
        return AccessDenied(f"{name}: {fault}")
    if fault.code in BAD_NAME or (fault.status == 400 and (is_odd(key) or "\\" in key)):
        return KeyRefused(f"key {key!r}: the server refuses it: {fault}")
    return StorageError(f"{name}: {fault}")


def _needs_its_own_key(fault: Fault) -> bool:
    """Whether the object can only be read with the key that it was encrypted with (SSE-C).

    The code alone stands for any request that is not valid.
    """
    return fault.code == "InvalidRequest" and "ncryption" in fault.detail


def pause_before_next(error: Exception, pauses: Iterator[float], left_to_us: bool) -> float | None:
    """Seconds to wait before a retry that the clients do not make themselves; None to give up.

    The clients retry 5xx, 429, and lost connections of requests that they consider safe to repeat. They do not retry
    answers with other codes that ask for another attempt, answers that end in the middle, and conditional puts and
    deletes without an answer (``left_to_us``). Repeating those is safe too: a condition prevents a second write, and a
    second deletion changes nothing.
    """
    if isinstance(error, ClientError):
        again = of_boto(error).code in TRANSIENT
    elif isinstance(error, BaseError):
        fault = of_obstore(error)
        # obstore has already retried to connect.
        unanswered = fault.status is None and "kind: Connect," not in str(error)
        # obstore resumes such an answer, but not every time.
        cut_off = fault.status is None and fault.detail == "IncompleteBody"
        again = fault.code in TRANSIENT or cut_off or (left_to_us and unanswered)
    else:
        again = isinstance(error, IncompleteReadError | ResponseStreamingError)
    return next(pauses, None) if again else None


def pauses(attempts: int) -> Iterator[float]:
    """Seconds to wait before each further attempt: exponential with jitter, and none after ``RETRY_SECONDS``."""
    end = time.monotonic() + RETRY_SECONDS
    for attempt in range(attempts - 1):
        if time.monotonic() > end:
            return
        yield random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)


def is_odd(key: str) -> bool:
    """Whether obstore would refuse or rewrite the key: it has empty, ``.`` or ``..`` parts, or control characters.

    A leading or trailing slash makes an empty part, which obstore silently drops.
    """
    return bool(re.search(r"[\x00-\x1f\x7f]", key)) or any(part in ("", ".", "..") for part in key.split("/"))
