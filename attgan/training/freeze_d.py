"""FreezeD (Mo et al., 2020): the lowest layers of the discriminator keep their weights during fine-tuning."""

from attgan.models import Discriminator
from attgan.models.configs import LAYERS


def set_training(discriminator: Discriminator) -> None:
    """Set training mode, except for frozen convolution layers, whose batch norms must keep their statistics."""
    discriminator.train()
    for layer in discriminator.conv:
        layer.train(any(parameter.requires_grad for parameter in layer.parameters()))


def freeze_lowest(discriminator: Discriminator, layers: int) -> tuple[str, ...]:
    """FreezeD: train all but the lowest convolution layers (with their norms).

    Args:
        discriminator: ``requires_grad`` of its parameters is set to False or True.
        layers: how many to freeze, 0 to 5.

    Returns:
        The names of the frozen parameters.

    Raises:
        ValueError: another number of layers.
    """
    if not 0 <= layers <= LAYERS:
        raise ValueError(f"FreezeD freezes 0 to {LAYERS} convolution layers, not {layers}")
    lowest = tuple(f"conv.{depth}." for depth in range(layers))
    frozen = []
    for name, parameter in discriminator.named_parameters():
        parameter.requires_grad_(not name.startswith(lowest))
        if not parameter.requires_grad:
            frozen.append(name)
    return tuple(frozen)
