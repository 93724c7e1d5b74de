"""FreezeD: the lowest layers of the discriminator stay as they are, their batch norms too."""

import pytest
import torch

from attgan.models import Discriminator, DiscriminatorConfig, fresh
from attgan.training.freeze_d import freeze_lowest, set_training


@pytest.fixture
def discriminator() -> Discriminator:
    return fresh(Discriminator, DiscriminatorConfig(image_size=64, width=2, hidden=8), 0)


@pytest.mark.parametrize("layers", range(6))
def test_freezing_stops_training_of_the_lowest_layers_only(layers: int, discriminator: Discriminator) -> None:
    freeze_lowest(discriminator, 5 - layers)
    frozen = freeze_lowest(discriminator, layers)
    assert len(frozen) == 3 * layers
    before = {name: parameter.detach().clone() for name, parameter in discriminator.named_parameters()}
    trained = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
    critic, logits = discriminator(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    (critic.sum() + logits.sum()).backward()
    torch.optim.SGD(trained, lr=0.1).step()
    unchanged = {
        name for name, parameter in discriminator.named_parameters() if torch.equal(parameter, before[name])
    }
    assert unchanged == set(frozen)
    assert all(int(name.split(".")[1]) < layers for name in frozen)


@pytest.mark.parametrize("layers", [-1, 6])
def test_freezing_more_layers_than_there_are_is_refused(layers: int, discriminator: Discriminator) -> None:
    with pytest.raises(ValueError, match=f"0 to 5 convolution layers, not {layers}"):
        freeze_lowest(discriminator, layers)


def test_frozen_layers_keep_their_batch_norm_statistics() -> None:
    config = DiscriminatorConfig(image_size=64, width=2, hidden=8, norm="batch")
    discriminator = fresh(Discriminator, config, 0)
    freeze_lowest(discriminator, 2)
    set_training(discriminator.eval())
    before = {name: buffer.clone() for name, buffer in discriminator.named_buffers()}
    discriminator(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert discriminator.training
    for name, buffer in discriminator.named_buffers():
        assert torch.equal(buffer, before[name]) == name.startswith(("conv.0.", "conv.1.")), name
    freeze_lowest(discriminator, 0)
    set_training(discriminator)
    assert all(layer.training for layer in discriminator.conv)
