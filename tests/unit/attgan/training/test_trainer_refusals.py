"""What a training refuses, in one line that names the option, and which rows it takes."""

import shutil
from pathlib import Path

import pytest

from attgan.data.loading.loader import Faces
from attgan.models import fresh
from attgan.models.folder import Folder
from attgan.models.generator import Generator, GeneratorConfig
from attgan.training.run_folder import run_files
from attgan.training.run_folder.progress import Progress
from attgan.training.trainer import train
from tests.support.refusals import refused
from tests.support.small_training import (
    CARD,
    open_small,
    small_config,
    small_discriminator,
    small_generator,
    small_train,
    stop_after,
)


@pytest.fixture(scope="module")
def stopped(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    """The folder of a run that was stopped at step 2, and what it said. It is not to be continued."""
    folder, told = tmp_path_factory.mktemp("stopped"), []
    with open_small(small_data) as faces:
        small_train(faces, folder, small_config(), should_stop=stop_after(2), on_progress=told.append)
    return folder, told


@pytest.mark.parametrize(
    ("setting", "value", "option", "saved"),
    [
        ("learning_rate", 0.5, "--learning-rate 0.5", "0.001"),
        ("strategy", "alternate", "--strategy alternate", "inverse"),
    ],
)
def test_other_settings_are_refused_by_name(
    small_faces: Faces,
    stopped: tuple[Path, list[Progress]],
    setting: str,
    value: object,
    option: str,
    saved: str,
) -> None:
    with refused("run-settings-differ", option, saved):
        small_train(small_faces, stopped[0], small_config(**{setting: value}))


def test_another_precision_is_refused_by_name_and_auto_is_what_it_means_here(
    small_faces: Faces, stopped: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    assert "; on cpu in float32" in stopped[1][0].note
    folder = shutil.copytree(stopped[0], tmp_path / "run")
    with refused("run-settings-differ", "--precision bfloat16"):
        small_train(small_faces, folder, small_config(precision="bfloat16"))
    wanted = run_files.config_fingerprint(
        "training",
        small_config(),
        small_faces,
        small_generator(),
        small_discriminator(),
        device="cuda",
        classifier=None,
    )
    with refused("run-settings-differ", "--precision bfloat16"):
        run_files.check_same(Folder(folder), wanted)
    same = small_train(small_faces, folder, small_config(precision="float32"), should_stop=stop_after(0))
    assert same.resumed_from == 2


def test_a_run_that_is_refused_takes_nothing_over(small_faces: Faces, tmp_path: Path) -> None:
    def another_asks() -> bool:
        with refused("run-settings-differ", "--seed", "9"):
            small_train(small_faces, tmp_path, config.model_copy(update={"seed": 9}))
        return False

    config = small_config(max_steps=2, checkpoint_every=1)
    small_train(small_faces, tmp_path, config, should_stop=lambda: True)
    assert small_train(small_faces, tmp_path, config, should_stop=another_asks).ended == "finished"


def test_other_weights_or_data_are_refused(small_faces: Faces, stopped: tuple[Path, list[Progress]]) -> None:
    config, folder = small_config(), stopped[0]
    other = fresh(Generator, GeneratorConfig(image_size=64, width=2), 99)
    with refused("run-bundle-differs", "--bundle"):
        train(other, small_discriminator(), small_faces, config, Folder(folder), card=CARD)
    small_faces.training = small_faces.training[:-1]
    with refused("run-dataset-differs", "--dataset"):
        small_train(small_faces, folder, config)


@pytest.mark.parametrize(
    ("attribute", "strategy", "keep", "batch_size", "rule"),
    [
        ("Eyeglasses", "alternate", "with", 4, ("training-rows-missing", "--strategy")),
        ("Eyeglasses", "alternate", "without", 4, ("training-rows-missing", "--strategy")),
        ("Eyeglasses", "inverse", "all", 73, ("batch-too-large", "--batch-size", "73", "72")),
        ("Smiling", "inverse", "all", 4, ("attribute-unknown", "--attribute")),
    ],
)
def test_data_that_do_not_suffice_are_refused_before_anything_is_written(
    small_faces: Faces,
    tmp_path: Path,
    attribute: str,
    strategy: str,
    keep: str,
    batch_size: int,
    rule: tuple[str, ...],
) -> None:
    has = small_faces.labels[small_faces.training, small_faces.attributes.index("Eyeglasses")]
    kept = {"with": has, "without": ~has, "all": has | True}[keep]
    small_faces.training = small_faces.training[kept]
    config = small_config(attribute=attribute, strategy=strategy, batch_size=batch_size)
    with refused(*rule):
        small_train(small_faces, tmp_path, config)
    assert not list(tmp_path.iterdir())
