"""The word `default`, and bundles by URL."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attgan.errors import UserError
from attgan.models import default
from attgan.models.bundle_config import CARD, CLASSIFIER, CONFIG, GENERATOR
from flows.edit.job import resolve
from flows.settings import AlignSettings, EditSettings, InitSettings, TrainSettings
from flows.storage.bundles import inspect, open_bundle, place_of
from flows.training.weights import init
from tests.support.refusals import refused

PLACES = {"source": "in", "destination": "out", "dataset": "data"}
ROOT = Path(__file__).parents[4]


def test_the_word_stays_a_word_and_a_folder_of_that_name_is_still_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    init(InitSettings(destination="default", image_size=64, width=2))

    def edit(**options: str) -> EditSettings:
        return EditSettings.model_validate(
            {name: PLACES[name] for name in ("source", "destination")} | options
        )

    assert edit().bundle == edit(bundle="default").bundle == "default"
    for spelling in ("./default", str(tmp_path / "default")):
        url = edit(bundle=spelling).bundle
        assert url == str(tmp_path / "default")
        assert open_bundle(url).generator.config.width == 2
    data = {name: PLACES[name] for name in ("dataset", "destination")}
    assert TrainSettings.model_validate(data).bundle is None, "without a bundle it is from scratch"
    assert TrainSettings.model_validate(data | {"bundle": "default"}).bundle == "default"
    assert AlignSettings.model_validate(data).bundle == "default"


def test_the_word_means_each_nodes_own_copy(tmp_path: Path) -> None:
    """The settings are pickled here, and read where the packages are in another place, as on a node of a cluster."""
    place = tmp_path / "node"
    for package in ("attgan", "flows"):
        ignored = shutil.ignore_patterns("__pycache__", default.FOLDER)
        shutil.copytree(ROOT / package, place / package, ignore=ignored)
    bundle = str(place / "attgan" / default.FOLDER)
    init(InitSettings(destination=bundle, image_size=64, width=2))
    (tmp_path / "settings").write_bytes(
        pickle.dumps(EditSettings.model_validate({"source": "in", "destination": "out"}))
    )
    read = (
        "import pickle, sys; from flows.storage.bundles import inspect, place_of;"
        "url = pickle.load(open(sys.argv[1], 'rb')).bundle; print(place_of(url), inspect(url).digest)"
    )
    reader = subprocess.run(
        [sys.executable, "-P", "-c", read, str(tmp_path / "settings")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, digest = reader.stdout.split()
    assert (where, digest) == (bundle, inspect(bundle).digest)
    assert digest != inspect("default").digest, "the digest tells a node that has another bundle"


def test_where_there_is_none_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(default, "FOLDER", "no_such_folder")
    settings = EditSettings.model_validate({"source": str(tmp_path), "destination": str(tmp_path / "../out")})
    with pytest.raises(UserError, match=r"--bundle default: attgan/no_such_folder/config.json"):
        resolve(settings)
    with pytest.raises(UserError, match=r"--judge default: attgan/"):
        place_of("default", "--judge")
    with refused("directory-missing"):
        inspect(str(tmp_path / "none"))


def test_what_is_shipped_edits_sees_and_is_small() -> None:
    bundle = open_bundle("default")
    folder = Path(place_of("default"))
    names = {path.name for path in folder.iterdir()}
    assert names == {CONFIG, CARD, GENERATOR, CLASSIFIER}, "no discriminator, and nothing else"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 25_000_000
    assert bundle.classifier is not None
    assert "Eyeglasses" in bundle.config.attributes
    assert bundle.config.licence in bundle.card
