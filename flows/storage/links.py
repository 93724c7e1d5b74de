"""Links to objects that a browser can open."""

from datetime import timedelta
from pathlib import Path

import obstore

from flows.storage.objects import Store
from flows.storage.s3.store import S3Store


def link_of(store: Store, key: str, seconds: float) -> str:
    """A link to an object: on S3 signed with this process's credentials, on disk a ``file://`` URL.

    A signed link needs no credentials and lets everybody who has it read the object. So it is a secret.

    Args:
        store: that holds the object.
        key: of the object.
        seconds: after which a signed link expires, or earlier if the credentials do. At most a week.

    Raises:
        UserError: credentials are missing.
        StorageError: the bucket cannot be reached.
    """
    if not isinstance(store, S3Store):
        return Path(store.url, key).as_uri()
    # boto3 would sign with version 2 in some regions, which new buckets refuse.
    return obstore.sign(store.connection().objects, "GET", store.full_key(key), timedelta(seconds=seconds))
