"""A bundle without a discriminator gets one before the trials, from random faces, and a sweep keeps it."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from attgan.data.manifest import MANIFEST, read_manifest, to_bytes
from attgan.data.subsets import parse_subset
from attgan.models import Generator, GeneratorConfig, fresh, save_bundle
from flows.settings import AlignSettings, SweepSettings
from flows.sweep.plan import Places, make_plan, resolve, write_or_check
from flows.sweep.prerequisites import alignment
from flows.sweep.prerequisites.places import check_before
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused

Options = dict[str, Any]
LOG = logging.getLogger("test")


@pytest.fixture
def options(places: Places, tmp_path: Path) -> Options:
    """A sweep from a bundle without a discriminator."""
    names = ("Eyeglasses", "Male", "Young")
    generator = fresh(Generator, GeneratorConfig(n_attributes=3, image_size=64, width=2), 0)
    save_bundle(tmp_path / "bare", generator=generator, attributes=names, licence="a", about="b")
    return {
        "dataset": places.dataset,
        "bundle": str(tmp_path / "bare"),
        "evaluator": places.evaluator,
        "destination": str(tmp_path / "sweep"),
        "space": ["freeze_d=0,4"],
        "batch_size": 8,
        "validation_images": 8,
    }


def settings_of(options: Options, **changes: Any) -> SweepSettings:
    return resolve(SweepSettings.model_validate(options | changes))


def dataset_of(folder: Path, subset: str) -> str:
    """A dataset that is recorded as this subset."""
    write_drawn_dataset(folder, 30)
    manifest = read_manifest(fs.LocalFileSystem(), str(folder))
    changed = manifest.model_copy(update={"subset": parse_subset(subset)})
    (folder / MANIFEST).write_bytes(to_bytes(changed))
    return str(folder)


def test_it_is_never_aligned_on_the_subset_of_an_attribute(
    options: Options, places: Places, tmp_path: Path
) -> None:
    extended = dataset_of(tmp_path / "extended", "eyeglasses-extended")
    with refused("alignment-needs-random", "--dataset", "eyeglasses-extended"):
        check_before(settings_of(options, dataset=extended))
    only = dataset_of(tmp_path / "only", "eyeglasses-only")
    with refused("alignment-needs-random", "--align-dataset", "eyeglasses-only"):
        check_before(settings_of(options, align_dataset=only))
    with refused("manifest-missing", "--align-dataset"):
        check_before(settings_of(options, align_dataset=str(tmp_path)))
    check_before(settings_of(options))
    random = dataset_of(tmp_path / "random", "random")
    check_before(settings_of(options, dataset=extended, align_dataset=random))
    # There is nothing to align.
    check_before(settings_of(options, dataset=extended, bundle=places.bundle))
    check_before(settings_of(options, dataset=extended, fresh_discriminator=True))


def test_a_sweep_that_an_older_version_began_on_one_continues(
    options: Options, places: Places, tmp_path: Path
) -> None:
    extended = dataset_of(tmp_path / "extended", "eyeglasses-extended")
    settings = settings_of(options, dataset=extended)
    write_or_check(make_plan(settings, places=dataclasses.replace(places, dataset=extended)))
    check_before(settings)


@pytest.fixture
def aligned(monkeypatch: pytest.MonkeyPatch) -> list[AlignSettings]:
    """The alignments that were asked for; none is run."""
    asked: list[AlignSettings] = []

    def note(flow: Any, settings: AlignSettings) -> dict[str, Any]:
        asked.append(settings)
        return {"bundle": "made"}

    monkeypatch.setattr(alignment, "run_subflow", note)
    return asked


def test_it_takes_the_sweeps_settings_and_70_000_random_images(
    options: Options, aligned: list[AlignSettings]
) -> None:
    settings = settings_of(options, preset="final", space=[], trials=1, align_steps=7, patience=3)
    assert alignment.align_first(settings, "/trials", LOG) == "made"
    (asked,) = aligned
    assert (asked.dataset, asked.random_images, asked.max_steps) == ("/trials", 70_000, 7)
    assert (asked.flip, asked.precision, asked.batch_size) == (False, "float32", 8)
    assert asked.patience == AlignSettings.model_fields["patience"].default
    other = settings_of(options, align_dataset="/random")
    alignment.align_first(other, "/trials", LOG)
    assert aligned[1].dataset == "/random"


def test_a_sweep_keeps_the_discriminator_that_it_began_with(
    options: Options, aligned: list[AlignSettings], tmp_path: Path
) -> None:
    settings, place = settings_of(options), tmp_path / "sweep"
    (place / "aligned").mkdir(parents=True)
    (place / "aligned" / "result.json").write_text("{}")
    # Without a sweep it may be one with other settings, which the alignment itself would tell.
    assert alignment.align_first(settings, "/trials", LOG) == "made"
    (place / "sweep.json").write_text("{}")
    assert alignment.align_first(settings, "/trials", LOG) == f"{place}/aligned/bundle"
    assert len(aligned) == 1
