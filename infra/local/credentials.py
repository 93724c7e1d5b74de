"""The secrets of a stack. They are created before anything starts, in files that only their owner may read."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.local.stack import Stack, write_private


@dataclass(frozen=True)
class Credentials:
    """The S3 server's only identity, and the file with Ray's token."""

    s3_access_key: str
    s3_secret_key: str
    ray_token_file: Path


def credentials(stack: Stack) -> Credentials:
    """The stack's secrets. They are created once, so that the data of a stack can be read after a restart."""
    keys_file, token_file = s3_identities(stack), stack.folder / "ray" / "token"
    if not token_file.exists():
        token_file.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(token_file, secrets.token_hex(32))
    if not keys_file.exists():
        keys_file.parent.mkdir(mode=0o700, exist_ok=True)
        keys = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
        identity = {"name": "stack", "credentials": [keys], "actions": ["Admin"]}
        write_private(keys_file, json.dumps({"identities": [identity]}, indent=1))
    keys = json.loads(keys_file.read_text())["identities"][0]["credentials"][0]
    return Credentials(keys["accessKey"], keys["secretKey"], token_file)


def s3_identities(stack: Stack) -> Path:
    """The S3 server's file of users and their keys."""
    return stack.folder / "s3" / "identities.json"
