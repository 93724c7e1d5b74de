"""Build networks from settings: freshly initialised, or with given tensors.

All are float32 in the channels-last layout, which is twice as fast on a CPU.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from attgan.models.tensors import check_tensors

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


def fresh(network: Callable[[Config], Network], config: Config, seed: int) -> Network:
    """A network to train, with PyTorch's initialisation: the same for the same seed.

    PyTorch's global random state is not changed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return network(config).to(memory_format=torch.channels_last)


def from_tensors(
    network: Callable[[Config], Network], config: Config, tensors: Mapping[str, Tensor], where: str
) -> Network:
    """A network in evaluation mode that holds copies of the given tensors.

    Args:
        network: the class, for example ``Generator``.
        config: its settings.
        tensors: its complete state dict, float32 (and int64 counters).
        where: what a refusal starts with.

    Raises:
        UserError: naming the tensor that is missing, unexpected, of another shape or dtype, or not finite.
    """
    with torch.device("meta"):
        built = network(config)
    check_tensors(tensors, built.state_dict(), where)
    copies = {name: _channels_last(tensor) for name, tensor in tensors.items()}
    built.load_state_dict(copies, strict=True, assign=True)
    return built.eval()


def _channels_last(tensor: Tensor) -> Tensor:
    layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
    return tensor.detach().to("cpu", copy=True, memory_format=layout)
