from collections.abc import Callable

import pytest
import torch
from torch import nn

from attgan.attributes import PUBLISHED
from attgan.models import (
    AttributeClassifier,
    ClassifierConfig,
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    fresh,
)

TINY = GeneratorConfig(width=2, image_size=64, shortcut_layers=1, inject_layers=1)
TINY_JUDGE = DiscriminatorConfig(width=2, image_size=64, hidden=8)
TINY_CLASSIFIER = ClassifierConfig(width=2, image_size=64)


@pytest.fixture(scope="session")
def lived_in() -> Callable[..., nn.Module]:
    """A maker of networks whose norms are not the identity they start as, in evaluation mode."""

    def make(network, config, seed=0):
        built = fresh(network, config, seed)
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in built.state_dict().items():
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2, generator=random)
                elif tensor.ndim == 1:
                    tensor.normal_(0.3, 0.5, generator=random)
        return built.eval()

    return make


@pytest.fixture
def generator(lived_in) -> Generator:
    return lived_in(Generator, TINY)


@pytest.fixture
def discriminator(lived_in) -> Discriminator:
    return lived_in(Discriminator, TINY_JUDGE)


@pytest.fixture
def classifier(lived_in) -> AttributeClassifier:
    return lived_in(AttributeClassifier, TINY_CLASSIFIER)


@pytest.fixture
def faces() -> Callable[[int, int], torch.Tensor]:
    """A maker of N images of a size, with values from -1 to 1."""

    def make(count, size):
        return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count)) * 2 - 1

    return make


@pytest.fixture
def saved(tmp_path, generator, discriminator):
    """A maker of a small bundle with a discriminator; returns its folder."""
    from attgan.models import save_bundle

    def make(name="bundle", place=None, **changes):
        place = place or tmp_path / name
        settings = {
            "generator": generator,
            "discriminator": discriminator,
            "attributes": PUBLISHED,
            "licence": "For tests only",
            "about": "Untrained.",
        }
        save_bundle(place, **settings | changes)
        return place

    return make
