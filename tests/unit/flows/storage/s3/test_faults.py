"""Which failed requests are sent again."""

import pytest
from obstore.exceptions import GenericError

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
