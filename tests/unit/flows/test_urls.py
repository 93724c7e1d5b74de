"""Storage URLs: what is accepted, what is refused and how."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attgan.errors import UserError
from flows.settings import EditSettings
from flows.storage import is_within, join, open_store, parse_url
from flows.urls import hide_credentials
from tests.support.refusals import refused

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize(
    ("url", "bucket", "path"),
    [
        ("s3://faces", "faces", ""),
        ("s3://faces/raw", "faces", "raw/"),
        ("s3://faces//raw", "faces", "/raw/"),
        ("s3://faces/a%20b/?c#d", "faces", "a%20b/?c#d/"),
        ("file:///data/a%20b", None, "/data/a b"),
        ("file://localhost/data/../x", None, "/x"),
        ("/data//faces/", None, "/data/faces"),
    ],
)
def test_accepted(url: str, bucket: str | None, path: str) -> None:
    assert parse_url(url) == (bucket, path)


@pytest.mark.parametrize(
    ("code", "urls"),
    [
        ("bucket-name-invalid", ["s3://", "s3:///key", "s3://ab", "s3://bucket name/x"]),
        ("url-holds-credentials", ["s3://host:9000/bucket"]),
        ("url-malformed", ["", "s3:/bucket/key", "s3:bucket", "file://host/data", "file:data", "a\0b"]),
        ("url-scheme-unknown", ["ftp://host/file", "https://host/file", "gs://bucket/x"]),
    ],
)
def test_refused_with_option_and_value(code: str, urls: list[str]) -> None:
    for url in urls:
        with refused(code) as caught:
            open_store(url, "--destination")
        assert caught.value.line.startswith("--destination ")
        assert repr(url)[1:-1] in caught.value.line or "s3://…" in caught.value.line
        assert "\n" not in caught.value.line


@pytest.mark.parametrize(
    "url",
    [
        *("s3://AKIAX:secret@bucket/x", "ftp://me:secret@host/x", "file://me:secret@host/x"),
        *(
            "s3://AKIAX:a/secret+b@bucket/x",
            "http://me:a/secret@host:80/x",
            "s3://AKIAX:secret/a@b/c@bucket/x",
        ),
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)
    # What Prefect stores as a parameter, before it is refused.
    assert "secret" not in EditSettings(source="/in", destination=url).destination


@pytest.mark.parametrize("url", ["http://host:9091/a@b", "s3://bucket/a@b:c@d", "/data/a:b@c"])
def test_what_only_looks_like_credentials_stays(url: str) -> None:
    assert hide_credentials(url) == url


@given(text)
def test_a_normal_url_names_the_same_place(path: str) -> None:
    location = parse_url("s3://faces/" + path)
    assert parse_url(location.url) == location
    assert open_store(location.url).url == location.url


@pytest.mark.parametrize("part", ["", "/etc/passwd", "..", "a/", "a//b", "a\0b"])
@pytest.mark.parametrize("base", ["s3://bucket/x", "/data", "file:///data"])
def test_join_refuses_to_leave(base: str, part: str) -> None:
    with pytest.raises(ValueError, match="not a relative path"):
        join(base, "ok", part)


@pytest.mark.parametrize(
    ("url", "other", "expected"),
    [
        ("s3://bkt/raw", "s3://bkt/raw", True),
        ("s3://bkt/raw/", "s3://bkt/raw", True),
        ("s3://bkt/raw/x", "s3://bkt/raw", True),
        ("s3://bkt/rawer", "s3://bkt/raw", False),
        ("s3://bkt/raw", "s3://bkt/raw/x", False),
        ("s3://bkt/raw", "s3://other/raw", False),
        ("s3://bkt/raw", "/b/raw", False),
        ("/data/x", "/data", True),
        ("/data/../other", "/data", False),
        ("/database", "/data", False),
    ],
)
def test_within(url: str, other: str, expected: bool) -> None:
    assert is_within(url, other) is expected


def test_within_sees_through_links(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert is_within(str(tmp_path / "link" / "x"), str(tmp_path / "real"))
