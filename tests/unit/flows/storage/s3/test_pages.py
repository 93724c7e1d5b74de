"""Pages of a listing are read as botocore reads them: the same client, with and without the fast way."""

import io
from typing import Any
from xml.sax.saxutils import escape

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.storage.s3.pages import read_fast

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
TIMES = ["2024-05-06T07:08:09.000Z", "2024-05-06T07:08:09Z", "2024-05-06T09:08:09+02:00"]
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
entries = st.lists(
    st.tuples(names, st.integers(0, 2**50), st.sampled_from(['"abc-2"', "", '"0"']), st.sampled_from(TIMES))
)


class Body(io.BytesIO):
    def stream(self, **_: Any) -> list[bytes]:
        return [self.read()]


def listed(body: bytes, *, fast: bool, status: int = 200) -> dict[str, Any]:
    """What a client makes of this answer to a listing."""
    client = boto3.client("s3", "us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    if fast:
        read_fast(client)
    answer = lambda request, **_: AWSResponse(request.url, status, {}, Body(body))  # noqa: E731
    client.meta.events.register_first("before-send.s3.ListObjectsV2", answer)
    parsed: dict[str, Any] = client.list_objects_v2(Bucket="bucket", Prefix="a/")
    return parsed


def page(objects: list[tuple[str, int, str, str]], folders: list[str], namespace: str = NAMESPACE) -> bytes:
    text = (
        f"<ListBucketResult{namespace}><Name>bucket</Name><Prefix>a/</Prefix><EncodingType>url</EncodingType>"
    )
    text += "<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;k</NextContinuationToken>"
    for key, size, etag, modified in objects:
        text += f"<Contents><Key>{escape(key)}</Key><LastModified>{modified}</LastModified><ETag>{escape(etag)}</ETag>"
        text += (
            f"<Size>{size}</Size><Owner><ID>me</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>"
        )
    text += "".join(
        f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders
    )
    return (text + "</ListBucketResult>").encode()


@settings(max_examples=25)
@given(namespace=st.sampled_from([NAMESPACE, ""]), objects=entries, folders=st.lists(names))
def test_any_page_is_read_as_botocore_reads_it(
    namespace: str, objects: list[tuple[str, int, str, str]], folders: list[str]
) -> None:
    body = page(objects, folders, namespace)
    slow, fast = listed(body, fast=False), listed(body, fast=True)
    for item in slow.get("Contents", ()):
        del item["Owner"], item["StorageClass"]
    assert fast == slow


@pytest.mark.parametrize(
    "body",
    [
        page([("k", 1, '"e"', "not a time")], []),
        page([("k", 1, '"e"', TIMES[0])], [])[:-40],
        b"<html><body>it works</body></html>",
        b"",
    ],
)
def test_what_is_no_page_is_botocores_to_judge(body: bytes) -> None:
    outcomes = []
    for fast in (False, True):
        try:
            outcomes.append(str(listed(body, fast=fast).get("Contents")))
        except Exception as error:
            outcomes.append(repr(error))
    assert outcomes[0] == outcomes[1]


def test_a_refusal_keeps_its_code() -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with pytest.raises(ClientError, match="AccessDenied"):
        listed(body, fast=True, status=403)
