"""What the settings of an edit decide: the bytes, what counts as done, and whether a run resumes."""

from collections.abc import Callable
from typing import Any

import torch

from flows.edit.fingerprint import (
    COMPUTATION,
    CURRENT,
    FIRST_SHIPPED,
    PLANNING,
    RESULT,
    SELECTION,
    fingerprint_inputs,
    hash_of,
    lineage_of,
    versions,
)
from flows.settings import EditSettings

MakeSettings = Callable[..., EditSettings]

ASKED_FOR_BY_FIRST = (
    *("bundle", "edits", "faces", "min_face", "min_confidence", "paste"),
    *("output", "format", "on_present", "quality"),
)


def test_it_is_said_of_each_setting_what_it_decides() -> None:
    assert sorted([*RESULT, *COMPUTATION, *SELECTION, *PLANNING, *CURRENT]) == sorted(
        EditSettings.model_fields
    )


def test_the_version_of_torch_is_the_one_that_it_names_itself() -> None:
    assert versions()["torch"] == torch.__version__


def test_a_result_that_is_as_before_an_option_was_added_has_the_fingerprint_of_that_time(
    settings: MakeSettings,
) -> None:
    def fingerprint(style: str | None = None, **options: Any) -> str:
        return hash_of(fingerprint_inputs(settings(**options), (), "b", None, style))

    before = fingerprint_inputs(settings(), (), "b", None)
    assert not before.keys() & {"style", "metadata", "on_unsure"}
    others = [fingerprint("round"), fingerprint(metadata="none"), fingerprint(on_unsure="copy")]
    assert len({hash_of(before), *others}) == 4


def test_a_new_shipped_bundle_has_the_lineage_of_the_first_one(settings: MakeSettings) -> None:
    def lineage(**options: Any) -> str:
        asked = settings(bundle="default", **options)
        made_of = fingerprint_inputs(asked, (), "its digest", None, "its style")
        return lineage_of(asked, made_of)

    # What 0.1.0 wrote for a run with the bundle that it shipped.
    first = settings(bundle="default", quality=95)
    earlier = fingerprint_inputs(first, (), FIRST_SHIPPED, None)
    assert lineage() == hash_of([first.source, {name: earlier[name] for name in ASKED_FOR_BY_FIRST}])
    assert lineage(style=["round"]) != lineage()
    assert lineage(quality=77) != lineage()


def test_a_table_of_styles_may_grow_without_editing_the_rest_again(settings: MakeSettings) -> None:
    def lineage(digest: str, **options: Any) -> str:
        asked = settings(**options)
        return lineage_of(asked, fingerprint_inputs(asked, (), "its digest", None, digest))

    before = lineage("round 0123", style=["round"], style_from="styles.csv")
    assert lineage("round 4567", style=["round"], style_from="styles.csv") == before
    assert lineage("oval 4567", style=["oval"], style_from="styles.csv") != before
    assert lineage("round", style=["round"]) != before
