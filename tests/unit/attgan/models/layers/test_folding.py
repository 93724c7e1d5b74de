"""Folded networks do what they did before, without their batch norms."""

import pytest
import torch
from torch import nn

from attgan.models import AttributeClassifier, ClassifierConfig, Generator, GeneratorConfig, fresh
from attgan.models.layers.folding import folded


def trained(network: nn.Module) -> nn.Module:
    """Norms as if they had seen data."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.3, 3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


@pytest.mark.parametrize(
    "options",
    [{"shortcut_layers": 4, "inject_layers": 3}, {"encoder_norm": "instance"}, {"decoder_norm": "none"}],
)
def test_folded_generator_gives_the_same_faces(options: dict) -> None:
    generator = trained(fresh(Generator, GeneratorConfig(image_size=64, width=4, **options), seed=0))
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    attributes = torch.rand(3, 13) - 0.5
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(generator).modules())
    with torch.no_grad():
        before = generator(images, attributes)
        after = folded(generator)(images, attributes)
        torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
        # Untouched.
        torch.testing.assert_close(generator(images, attributes), before, rtol=0, atol=0)


def test_folded_classifier_gives_the_same_logits() -> None:
    classifier = trained(fresh(AttributeClassifier, ClassifierConfig(image_size=64, width=4), seed=0))
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(folded(classifier)(images), classifier(images), rtol=0, atol=1e-4)
