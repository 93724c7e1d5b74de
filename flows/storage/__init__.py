"""Files on S3 and on disk through one interface: ``open_store(url)``.

>>> store = open_store("s3://faces/raw")            # or file:///data/faces, or data/faces
>>> store.put("a/b.jpg", data, create_only=True)

S3 is configured by the standard AWS settings, as botocore reads them (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``,
``AWS_REGION``, ``AWS_CA_BUNDLE``, ``AWS_MAX_ATTEMPTS``, the shared configuration file, …). With
``AWS_NO_SIGN_REQUEST=YES`` a public bucket is read without credentials.
"""

from flows.storage.errors import AccessDenied, KeyRefused, ObjectRefused, PreconditionFailed, StorageError
from flows.storage.objects import Fetched, ObjectInfo, Store
from flows.urls import is_within, join, parse_url

__all__ = [
    "AccessDenied",
    "Fetched",
    "KeyRefused",
    "ObjectInfo",
    "ObjectRefused",
    "PreconditionFailed",
    "StorageError",
    "Store",
    "has",
    "is_within",
    "join",
    "open_store",
    "parse_url",
]


def open_store(url: str, option: str = "--source") -> Store:
    """The store at a URL. No request is sent: ``store.check()`` checks whether it can be used.

    Args:
        url: ``s3://bucket/prefix``, ``file:///directory`` or a path. A prefix is a folder, as if it ended in ``/``.
        option: the user's option for the URL, for error messages.

    Raises:
        UserError: the URL is malformed.
    """
    location = parse_url(url, option)
    if location.bucket is None:
        from flows.storage.disk import DiskStore

        return DiskStore(location, option)
    # Imported here because boto3 takes a while to import.
    from flows.storage.s3.store import S3Store

    return S3Store(location, option)


def has(url: str, key: str, option: str = "--destination") -> bool:
    """Whether an object of this key exists below a URL.

    Raises:
        UserError: the URL is malformed.
        StorageError: the storage failed after its retries.
    """
    try:
        open_store(url, option).head(key)
    except FileNotFoundError:
        return False
    return True
