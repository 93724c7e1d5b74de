"""Output keys, and inputs that would share one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.edit.naming import output_key, refuse_collisions
from flows.storage import ObjectInfo
from tests.support.refusals import refused

FORMATS = ["keep", "jpeg", "png", "webp", "tiff"]


def infos(keys: list[str]) -> list[ObjectInfo]:
    return [ObjectInfo(key, 1, "x", datetime.now(UTC)) for key in keys]


@pytest.mark.parametrize(
    ("key", "format", "output"),
    [
        ("a.jpg", "keep", "a.jpg"),
        ("a.jpg", "webp", "a.jpg.webp"),
        ("a.JPEG", "jpeg", "a.JPEG"),
        ("deep/a.tif", "tiff", "deep/a.tif"),
        ("no_extension", "png", "no_extension.png"),
    ],
)
def test_another_formats_extension_is_appended(key: str, format: str, output: str) -> None:
    assert output_key(key, format) == output


@given(
    st.lists(
        st.from_regex(r"[a-c]{1,2}(\.(png|jpg|webp)){0,3}(/[a-b](\.jpg){0,2})?", fullmatch=True), unique=True
    ),
    st.sampled_from(FORMATS),
)
def test_two_inputs_with_one_output_are_found_wherever_they_stand(keys: list[str], format: str) -> None:
    keys.sort()
    outputs = [output_key(key, format) for key in keys]
    if len(set(outputs)) == len(outputs):
        assert [info.key for info in refuse_collisions(infos(keys), format)] == keys
    else:
        with refused("output-collision"):
            list(refuse_collisions(infos(keys), format))
