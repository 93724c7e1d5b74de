"""Styles of glasses, from the command's options to the ledger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from attgan.attributes import DEFAULT_STYLE, PUBLISHED, STYLES
from attgan.models import AttributeClassifier, ClassifierConfig, fresh, load_bundle, save_bundle, with_styles
from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from tests.support.images.pictures import noise, opened, saved
from tests.support.refusals import refused

MakeSettings = Callable[..., EditSettings]


@pytest.fixture(scope="session")
def styled_bundle(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its untrained generator draws something else for each style."""
    path = tmp_path_factory.mktemp("bundle") / "styled"
    generator = with_styles(load_bundle(bundle).generator, STYLES)
    weight = generator.dec_layers[0].layers[0].weight
    weight.data[-len(STYLES) :] = np.e * weight.data[: len(STYLES)]
    save_bundle(path, generator=generator, attributes=PUBLISHED, licence="x", about="x")
    return str(path)


@pytest.fixture(scope="session")
def unsure_bundle(styled_bundle: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its classifier can say nothing about any face."""
    path = tmp_path_factory.mktemp("bundle") / "unsure"
    config = ClassifierConfig(image_size=64, width=4, unsure=(-1e6, 1e6))
    save_bundle(
        path,
        generator=load_bundle(styled_bundle).generator,
        classifier=fresh(AttributeClassifier, config, 0),
        attributes=PUBLISHED,
        licence="x",
        about="x",
    )
    return str(path)


@pytest.fixture
def faces(tmp_path: Path, settings: MakeSettings) -> list[str]:
    # Makes the folder.
    del settings
    names = [f"{number}.png" for number in range(4)]
    for number, name in enumerate(names):
        (tmp_path / "in" / name).write_bytes(saved(noise(number, 64, 64), "PNG"))
    return names


def rows_and_results(settings: EditSettings) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    for shard in range(prepared.run.shards):
        edit_shard(prepared.run.url, shard, settings)
    ledgers = [read_rows(prepared.store, key) for key in finished_shards(prepared.store).values()]
    results = {path.name: opened(path.read_bytes()) for path in Path(settings.destination).glob("*.png")}
    return {row["key"]: row for ledger in ledgers for row in ledger.to_pylist()}, results


def test_style_of_the_run_is_drawn_and_stands_in_the_ledger(
    settings: MakeSettings, faces: list[str], styled_bundle: str, tmp_path: Path
) -> None:
    options = {"bundle": styled_bundle, "paste": "whole", "faces": "aligned"}
    usual = rows_and_results(settings(**options))
    chosen = rows_and_results(settings(**options, style=["round,metal"], destination=str(tmp_path / "other")))
    assert {row["style"] for row in usual[0].values()} == {",".join(DEFAULT_STYLE)}
    assert {row["style"] for row in chosen[0].values()} == {"round,metal"}
    for name in faces:
        assert (usual[1][name] != chosen[1][name]).any()


def test_table_gives_single_images_other_glasses(
    settings: MakeSettings, faces: list[str], styled_bundle: str, tmp_path: Path
) -> None:
    table = tmp_path / "styles.csv"
    table.write_text('key,style\n0.png,rimless\n2.png,"Oval,Sunglasses"\n')
    rows, _ = rows_and_results(
        settings(bundle=styled_bundle, faces="aligned", style=["round"], style_from=str(table))
    )
    assert [rows[name]["style"] for name in faces] == ["rimless", "round", "Oval,Sunglasses", "round"]


def test_mixed_styles_are_the_same_in_every_run(
    settings: MakeSettings, faces: list[str], styled_bundle: str, tmp_path: Path
) -> None:
    options = {"bundle": styled_bundle, "faces": "aligned", "style": ["mixed"]}
    first, _ = rows_and_results(settings(**options))
    again, _ = rows_and_results(settings(**options, shard_size=1, destination=str(tmp_path / "again")))
    styles = [first[name]["style"] for name in faces]
    assert styles == [again[name]["style"] for name in faces]
    assert len(set(styles)) > 1


def test_style_that_the_bundle_cannot_draw_is_refused(
    settings: MakeSettings, faces: list[str], bundle: str, styled_bundle: str, tmp_path: Path
) -> None:
    with refused("styles-unsupported"):
        prepare(resolve(settings(bundle=bundle, style=["round"])))
    with refused("style-conflict"):
        prepare(resolve(settings(bundle=styled_bundle, style=["round", "oval"])))
    with pytest.raises(ValidationError):
        settings(style=["triangle"])
    table = tmp_path / "styles.csv"
    table.write_text("name,glasses\n0.png,round\n")
    with refused("style-table-malformed"):
        prepare(resolve(settings(bundle=styled_bundle, style_from=str(table))))


@pytest.mark.parametrize(
    ("on_unsure", "status"), [("edit", "edited"), ("copy", "copied"), ("skip", "skipped")]
)
def test_faces_the_classifier_is_unsure_of_are_treated_as_asked(
    settings: MakeSettings, faces: list[str], unsure_bundle: str, on_unsure: str, status: str
) -> None:
    rows, _ = rows_and_results(settings(bundle=unsure_bundle, faces="aligned", on_unsure=on_unsure))
    assert {row["status"] for row in rows.values()} == {status}
    assert {row["attributes_from"] for row in rows.values()} == {"unsure"}
    assert {value for row in rows.values() for value in row["predicted"]} == {None}


@pytest.mark.parametrize("on_present", ["copy", "skip", "edit"])
def test_an_unsure_face_that_is_copied_keeps_its_file(
    settings: MakeSettings, faces: list[str], unsure_bundle: str, on_present: str
) -> None:
    asked = settings(bundle=unsure_bundle, faces="aligned", on_unsure="copy", on_present=on_present)
    rows_and_results(asked)
    for name in faces:
        assert (Path(asked.destination) / name).read_bytes() == (Path(asked.source) / name).read_bytes()
