"""The policy for S3, against a server that enforces it: our store can do its work, and needs each action for it."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.core.authorization import enable_iam_authentication

from attgan.errors import UserError
from flows.storage import open_store
from flows.storage.errors import PreconditionFailed, StorageError
from flows.storage.s3 import filesystem, store
from tests.support.cluster_files import CLUSTER
from tests.support.servers.aws_environment import leading_to
from tests.support.servers.breaking_proxy import BreakingProxy

POLICY: dict[str, Any] = json.loads((CLUSTER / "iam.json").read_text())
ACTIONS = [action for statement in POLICY["Statement"] for action in statement["Action"]]
# The smallest part that S3 accepts.
PART = 5 * 2**20


def without(action: str | None) -> dict[str, Any]:
    """The policy without one of its actions."""
    statements = [
        one | {"Action": [name for name in one["Action"] if name != action]} for one in POLICY["Statement"]
    ]
    return POLICY | {"Statement": [one for one in statements if one["Action"]]}


@pytest.fixture
def work_under(moto_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that does the work of flows as a user who has this policy and no other right."""
    monkeypatch.setattr(store, "MULTIPART_BYTES", PART)
    monkeypatch.setattr(filesystem, "PART_BYTES", PART)
    with leading_to(moto_server) as patch, contextlib.ExitStack() as cleanup:
        proxy = cleanup.enter_context(BreakingProxy(moto_server["AWS_ENDPOINT_URL"]))
        iam, s3 = boto3.client("iam"), boto3.resource("s3")
        buckets = [s3.Bucket(name) for name in ("policy-source", "policy-destination")]
        for bucket in buckets:
            bucket.create()
            cleanup.callback(bucket.delete)
            cleanup.callback(bucket.objects.all().delete)
        buckets[0].put_object(Key="faces/1.jpg", Body=b"face")
        iam.create_user(UserName="attgan")
        cleanup.callback(iam.delete_user, UserName="attgan")
        keys = iam.create_access_key(UserName="attgan")["AccessKey"]
        cleanup.callback(iam.delete_access_key, UserName="attgan", AccessKeyId=keys["AccessKeyId"])
        cleanup.callback(iam.delete_user_policy, UserName="attgan", PolicyName="s3")
        # A refusal is final here: it is not tried again.
        patch.setenv("AWS_MAX_ATTEMPTS", "1")

        def work(policy: dict[str, Any]) -> None:
            text = (
                json.dumps(policy).replace("SOURCE", buckets[0].name).replace("DESTINATION", buckets[1].name)
            )
            iam.put_user_policy(UserName="attgan", PolicyName="s3", PolicyDocument=text)
            with pytest.MonkeyPatch.context() as keys_of_user, enable_iam_authentication():
                keys_of_user.setenv("AWS_ENDPOINT_URL", proxy.url)
                keys_of_user.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
                keys_of_user.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
                work_of_flows(proxy)
            # A part that stays costs money for ever, and nobody sees it in a listing.
            assert not s3.meta.client.list_multipart_uploads(Bucket=buckets[1].name).get("Uploads")

        yield work


def work_of_flows(proxy: BreakingProxy) -> None:
    """All that flows do with a source and a destination."""
    source = open_store("s3://policy-source/faces/", option="--source")
    destination = open_store("s3://policy-destination/edited/", option="--destination")
    source.check()
    destination.check(write=True)
    assert [item.key for item in source.list()] == ["1.jpg"]
    etag = destination.put("1.jpg", source.get("1.jpg").data, create_only=True)
    with pytest.raises(FileExistsError):
        destination.put("1.jpg", b"other", create_only=True)
    with pytest.raises(PreconditionFailed):
        destination.put("1.jpg", b"other", if_match="0" * 32)
    destination.put("1.jpg", b"swapped", if_match=etag)
    assert destination.head("1.jpg").size == len(b"swapped")
    destination.put("parts", bytes(2 * PART + 1))
    files, root = destination.filesystem()
    with files.open_output_stream(f"{root}/streamed") as stream:
        stream.write(bytes(PART + 1))
    proxy.plan("403", only="PUT .*partNumber=2")
    with pytest.raises(StorageError):
        destination.put("broken", bytes(2 * PART + 1))
    destination.delete("1.jpg")
    assert [item.key for item in destination.list()] == ["parts", "streamed"]


def test_policy_suffices(work_under: Any) -> None:
    work_under(POLICY)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_needed(work_under: Any, action: str) -> None:
    # Without the right to take parts back, only they show it.
    left_behind = action == "s3:AbortMultipartUpload"
    with pytest.raises(AssertionError if left_behind else (StorageError, UserError)):
        work_under(without(action))
