"""Which failed requests are sent again, and what the others mean."""

import pytest
from botocore.exceptions import ClientError
from obstore.exceptions import GenericError

from flows.storage import AccessDenied, PreconditionFailed, StorageError
from flows.storage.s3 import faults

CUT_OFF = "Generic S3 error\n\nDebug source:\nhyper::Error(IncompleteBody)"
SILENT = 'Generic S3 error\n\nDebug source:\nreqwest::Error { kind: Request, source: "TimedOut" }'


@pytest.mark.parametrize(
    ("said", "left_to_us", "again"),
    [
        pytest.param(CUT_OFF, False, True, id="an answer that ends in the middle"),
        pytest.param(SILENT, False, False, id="a read without an answer, which the client has repeated"),
        pytest.param(SILENT, True, True, id="a conditional write without an answer"),
    ],
)
def test_what_the_client_does_not_repeat_is_sent_again(said: str, left_to_us: bool, again: bool) -> None:
    pause = faults.pause_before_next(GenericError(said), faults.pauses(3), left_to_us)
    assert (pause is not None) is again


def answered(status: int, code: str, message: str = "") -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Request")


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        # Of one object that needs its own key. Whether it is the only one decides flows/storage/denials.py.
        (
            400,
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption.",
            AccessDenied,
        ),
        (400, "InvalidRequest", "Something else", StorageError),
        (403, "AccessDenied", "", AccessDenied),
        (404, "NoSuchKey", "", FileNotFoundError),
    ],
)
def test_what_an_answer_means(status: int, code: str, message: str, kind: type[Exception]) -> None:
    assert type(faults.at_object(answered(status, code, message), "s3://b/k", "k")) is kind


def test_an_object_to_replace_that_is_gone_is_not_the_expected_one() -> None:
    found = faults.at_object(answered(404, "NoSuchKey"), "s3://b/k", "k", replaces=True)
    assert type(found) is PreconditionFailed
