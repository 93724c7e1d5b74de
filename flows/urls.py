"""Storage URLs: ``s3://bucket/prefix``, ``file:///directory`` and plain paths.

As in the AWS command line, an ``s3://`` URL is not percent-decoded and has no query part: all that follows the bucket
is the prefix. A ``file://`` URL is percent-decoded.
"""

import os
import re
from typing import NamedTuple
from urllib.parse import unquote

from attgan.errors import UserError

BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Names the bundle that is shipped with the package. A folder of this name is written ./default.
DEFAULT_BUNDLE = "default"
RULE = "must be s3://BUCKET/PREFIX, file:///DIRECTORY or a path"


class Location(NamedTuple):
    """The place of a store.

    Attributes:
        bucket: None for a directory.
        path: the prefix in the bucket, which is empty or ends in ``/``; or the absolute path of the directory.
    """

    bucket: str | None
    path: str

    @property
    def url(self) -> str:
        """The normal form: ``parse_url(location.url)`` is the location again."""
        if self.bucket is None:
            return self.path
        if not self.path:
            return f"s3://{self.bucket}"
        # A prefix on S3 may itself end in slashes. Those stay.
        bare = self.path[:-1]
        return f"s3://{self.bucket}/{self.path if bare.endswith('/') or not bare else bare}"


def parse_url(url: str, option: str = "--source") -> Location:
    """The location that a URL names.

    Raises:
        UserError: names ``option``, the URL (without any credentials in it) and the rule.
    """
    if not url or "\0" in url:
        raise UserError("url-malformed", f"{option} {url!r}: {RULE}")
    scheme = SCHEME.match(url)
    if scheme is None:
        if re.match(r"(?i)(s3|s3a|file):", url):
            raise UserError(
                "url-malformed", f"{option} {url!r}: the scheme is followed by two slashes; {RULE}"
            )
        return Location(None, os.path.abspath(os.path.expanduser(url)))
    rest = url[scheme.end() :]
    match scheme.group(1).lower():
        case "s3":
            return _parse_s3(rest, option)
        case "file":
            return _parse_file(rest, option)
    raise UserError(
        "url-scheme-unknown",
        f"{option} {hide_credentials(url)!r}: unknown scheme {scheme.group(1)!r}; {RULE}",
    )


def _parse_s3(rest: str, option: str) -> Location:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket:
        raise UserError(
            "url-holds-credentials",
            f"{option} 's3://…': neither credentials nor hosts belong in a URL; "
            "they are set with AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the like",
        )
    if not bucket:
        raise UserError("bucket-name-invalid", f"{option} 's3://{rest}': the bucket is missing; {RULE}")
    if not BUCKET.fullmatch(bucket):
        raise UserError(
            "bucket-name-invalid",
            f"{option} 's3://{rest}': {bucket!r} is not a bucket name (letters, digits, '-', '.', '_'; 3 or more)",
        )
    return Location(bucket, prefix if not prefix or prefix.endswith("/") else prefix + "/")


def _parse_file(rest: str, option: str) -> Location:
    host, slash, path = rest.partition("/")
    path = unquote(slash + path)
    if host not in ("", "localhost") or not path or "\0" in path:
        raise UserError("url-malformed", f"{option} {hide_credentials('file://' + rest)!r}: {RULE}")
    return Location(None, os.path.abspath(path))


def hide_credentials(url: str) -> str:
    """The URL without the user and password in its host part, also where the password has slashes."""
    return re.sub(r"://([^/]*@|[^/]*:(?![0-9]+(/|$)).*@)", "://…@", url)


def join(url: str, *parts: str) -> str:
    """The URL of something below ``url``, normalised.

    ``join("s3://b/run/", "plan", "00012.parquet")`` is ``s3://b/run/plan/00012.parquet``. Parts may contain slashes.
    The result always lies below ``url``.

    Raises:
        UserError: ``url`` is malformed.
        ValueError: a part is empty, begins or ends with a slash, or has a segment that is empty, ``.`` or ``..``.
    """
    location = parse_url(url, "URL")
    for part in parts:
        if any(segment in ("", ".", "..") for segment in part.split("/")) or "\0" in part:
            raise ValueError(f"{part!r} is not a relative path below {location.url!r}")
    if not parts:
        return location.url
    if location.bucket is None:
        return os.path.join(location.path, *parts)
    return f"s3://{location.bucket}/{location.path}{'/'.join(parts)}"


def is_within(url: str, other: str) -> bool:
    """Whether ``url`` is ``other`` or lies below it. Both are normalised first; on disk symbolic links are resolved.

    Raises:
        UserError: one of the two is not a storage URL.
    """
    inner, outer = parse_url(url, "URL"), parse_url(other, "URL")
    if inner.bucket != outer.bucket:
        return False
    if inner.bucket is not None:
        return inner.path.startswith(outer.path)
    inner_path, outer_path = os.path.realpath(inner.path), os.path.realpath(outer.path)
    return os.path.commonpath([inner_path, outer_path]) == outer_path
