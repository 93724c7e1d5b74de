"""A small generator and some images on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from attgan.attributes import PUBLISHED
from attgan.models import AttributeClassifier, ClassifierConfig, fresh, load_bundle, save_bundle
from flows.settings import EditSettings, InitSettings
from flows.training.weights import init


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle with a small, freshly initialised generator at 64 px."""
    path = tmp_path_factory.mktemp("bundle") / "small"
    init(InitSettings(destination=str(path), image_size=64, width=4))
    return str(path)


@pytest.fixture(scope="session")
def seeing_bundle(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with an untrained classifier whose opinion differs from image to image."""
    path = tmp_path_factory.mktemp("bundle") / "seeing"
    classifier = fresh(AttributeClassifier, ClassifierConfig(image_size=64, width=4), 0)
    with torch.no_grad():
        classifier.head.weight.mul_(100)
        classifier.head.bias.zero_()
    save_bundle(
        path,
        generator=load_bundle(bundle).generator,
        classifier=classifier,
        attributes=PUBLISHED,
        licence="x",
        about="x",
    )
    return str(path)


@pytest.fixture
def settings(tmp_path: Path, bundle: str) -> Callable[..., EditSettings]:
    """Settings for an edit from ``in`` to ``out`` below the test's folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()

    def make(**options: object) -> EditSettings:
        usual: dict[str, object] = {"source": str(tmp_path / "in"), "destination": str(tmp_path / "out")}
        if "bundle" not in options:
            # What an untrained generator changes is nothing; what it draws is something else altogether.
            # What it is given are smooth random pictures, in which no face would be found.
            usual |= {"bundle": bundle, "paste": "whole", "faces": "aligned"}
        return EditSettings.model_validate(usual | options)

    return make
