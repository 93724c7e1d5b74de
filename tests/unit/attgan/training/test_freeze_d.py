"""FreezeD and batch norms; that frozen weights stay as they are is shown with whole steps, in ``test_steps.py``."""

import torch

from attgan.models import Discriminator, DiscriminatorConfig, fresh
from attgan.training.freeze_d import freeze_lowest, set_training


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
