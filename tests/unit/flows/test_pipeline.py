"""What the pipeline makes of its few settings for the four steps."""

from pathlib import Path
from typing import Any

import pytest

from attgan.attributes import PUBLISHED
from attgan.models import save_bundle
from flows.pipeline import Steps, check_places, make_steps
from flows.settings import PipelineSettings
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused
from tests.support.small_training import small_discriminator, small_generator


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, generator=small_generator(), attributes=PUBLISHED, licence="free", about="A test.")
    return str(folder)


def steps(tmp_path: Path, **options: Any) -> Steps:
    return make_steps(PipelineSettings.model_validate({"destination": str(tmp_path / "all"), **options}))


def test_each_step_takes_what_the_one_before_makes(tmp_path: Path, bundle: str) -> None:
    place = tmp_path / "all"
    made = steps(tmp_path, bundle=bundle, source="s3://celeba/all", seed=7, gpus=0.5)
    assert made.align is not None
    assert made.subset.destination == made.sweep.dataset == f"{place}/dataset"
    assert (made.subset.subset, made.subset.size, made.subset.store) == (
        "eyeglasses-extended",
        64,
        "original",
    )
    assert made.align.bundle == bundle
    assert made.sweep.bundle == f"{made.align.destination}/bundle"
    assert made.sweep.place == str(place)
    assert made.edit.bundle == f"{place}/best"
    assert (made.edit.source, made.edit.labels) == ("s3://celeba/all/img_align_celeba", "s3://celeba/all")
    assert made.align.gpus == made.sweep.gpus_per_trial == made.edit.gpus_per_shard == 0.5
    assert made.subset.seed == made.align.seed == made.sweep.seed == 7


def test_a_discriminator_is_aligned_on_random_faces_and_never_on_the_extended_ones(
    tmp_path: Path, bundle: str
) -> None:
    place = tmp_path / "all"
    own = {"ratio": 0.4, "rows_per_part": 500, "partitions": ["train"]}
    made = steps(tmp_path, bundle=bundle, source="s3://celeba/all", seed=7, subset_options=own)
    assert made.random is not None
    assert made.align is not None
    assert made.align.dataset == made.random.destination == f"{place}/random" != made.subset.destination
    assert (made.random.subset, made.random.count) == ("random", None), "70,000, or all of fewer"
    assert (made.random.size, made.random.seed, made.random.store) == (64, 7, "original")
    assert (made.random.rows_per_part, made.random.partitions) == (500, ["train"])
    assert made.subset.ratio == 0.4
    assert made.align.random_images == 70_000


@pytest.mark.parametrize("subset", ["all", "random"])
def test_where_the_trials_have_random_faces_there_is_one_dataset(
    tmp_path: Path, bundle: str, subset: str
) -> None:
    made = steps(tmp_path, bundle=bundle, source="s3://celeba/all", subset=subset)
    assert made.random is None
    assert made.align is not None
    assert made.align.dataset == made.subset.destination
    assert made.align.random_images == 70_000


def test_what_an_older_version_has_made_is_used_as_it_is_and_named(tmp_path: Path, bundle: str) -> None:
    """It stored cropped faces, and aligned on the extended subset."""
    place = tmp_path / "all"
    write_drawn_dataset(place / "dataset", 14)
    (place / "aligned").mkdir()
    (place / "aligned" / "result.json").write_text("{}")
    made = steps(tmp_path, bundle=bundle, source="s3://celeba/all")
    assert made.align is not None
    assert (made.subset.store, made.random) == ("cropped", None)
    assert (made.align.dataset, made.align.random_images) == (made.subset.destination, None)
    assert [line.partition(":")[0] for line in made.kept] == [f"{place}/dataset", f"{place}/aligned"]
    assert steps(tmp_path / "new", bundle=bundle, source="s3://celeba/all").kept == []


def test_what_earlier_weights_have_edited_is_not_left_as_that_of_the_best(
    tmp_path: Path, bundle: str
) -> None:
    assert steps(tmp_path, bundle=bundle).edit.on_existing == "overwrite"
    assert steps(tmp_path, bundle=bundle, edited="s3://theirs").edit.on_existing == "fail"
    chosen = steps(tmp_path, bundle=bundle, edit_options={"on_existing": "skip"}).edit
    assert chosen.on_existing == "skip"


def test_nothing_is_aligned_where_a_discriminator_is_there_or_all_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    save_bundle(
        folder,
        generator=small_generator(),
        discriminator=small_discriminator(),
        attributes=PUBLISHED,
        licence="free",
        about="A test.",
    )
    assert steps(tmp_path, bundle=str(folder)).align is None
    assert steps(tmp_path, bundle=str(folder)).sweep.bundle == str(folder)
    scratch = steps(tmp_path, preset="shortcut")
    assert scratch.align is None
    assert "bundle" not in scratch.sweep.model_fields_set


def test_a_step_s_own_options_come_first(tmp_path: Path, bundle: str) -> None:
    own = {"align_options": {"max-steps": 3}, "sweep_options": {"trials": 2}, "edit_options": {"quality": 80}}
    made = steps(tmp_path, bundle=bundle, **own)
    assert made.align is not None
    assert (made.align.max_steps, made.sweep.trials, made.edit.quality) == (3, 2, 80)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"sweep_options": {"trials": 0}}, "setting-invalid", "--sweep-options: --trials 0: "),
        ({"align_options": {"destination": "/x"}}, "pipeline-option-fixed", "--align-options: destination "),
        ({"bundle": "/nowhere"}, "directory-missing", "--bundle '/nowhere'"),
    ],
)
def test_a_mistake_in_any_step_is_known_before_the_first(
    tmp_path: Path, bundle: str, options: dict[str, Any], code: str, words: str
) -> None:
    with refused(code) as caught:
        steps(tmp_path, **{"bundle": bundle, **options})
    assert words in caught.value.line


def test_places_of_the_last_step_are_looked_at_before_the_first(tmp_path: Path) -> None:
    with refused("directory-missing") as caught:
        check_places(PipelineSettings(photos=str(tmp_path / "typo")))
    assert caught.value.line.startswith("--photos ")
    (tmp_path / "file").touch()
    with refused("directory-is-file") as caught:
        check_places(PipelineSettings(destination=str(tmp_path), edited=str(tmp_path / "file")))
    assert caught.value.line.startswith("--edited ")
