"""The two networks and their optimisers on one device, and the conversion to a checkpoint's tensors and back."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attgan.models import Discriminator, Generator
from attgan.training.config import LoopConfig
from attgan.training.freeze_d import freeze_lowest, set_training
from attgan.training.steps import Precision

Groups = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Networks:
    """The networks and optimisers, which a run changes.

    Attributes:
        generator, discriminator: on ``device``, channels last.
        generator_adam: None where the generator is frozen: then it stays in evaluation mode, its buffers too.
        discriminator_adam: of the parameters that FreezeD leaves free.
        device: of both networks.
        precision: of their forward and backward passes.
        frozen: names of the discriminator's parameters that FreezeD freezes.
    """

    generator: Generator
    discriminator: Discriminator
    generator_adam: torch.optim.Adam | None
    discriminator_adam: torch.optim.Adam
    device: torch.device
    precision: Precision
    frozen: tuple[str, ...]

    def train(self) -> None:
        """Training mode, but for a frozen generator and the discriminator's frozen layers."""
        self.generator.train(self.generator_adam is not None)
        set_training(self.discriminator)

    def evaluate(self) -> None:
        """Evaluation mode: batch norms use what they have learnt."""
        self.generator.eval()
        self.discriminator.eval()


def copy_to_device(
    generator: Generator,
    discriminator: Discriminator,
    config: LoopConfig,
    device: str,
    *,
    train_generator: bool,
    freeze_d: int = 0,
) -> Networks:
    """Copies of both networks on ``device`` with fresh optimisers; those given stay as they are."""
    placed = torch.device(device)
    to_train = [
        copy.deepcopy(network).to(placed, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for network in (generator, discriminator)
    ]
    for parameter in to_train[0].parameters():
        parameter.requires_grad_(train_generator)
    frozen = freeze_lowest(to_train[1], freeze_d)
    networks = Networks(
        to_train[0],
        to_train[1],
        _adam(to_train[0], config) if train_generator else None,
        _adam(to_train[1], config),
        placed,
        precision_on(config, device),
        frozen,
    )
    networks.train()
    return networks


def precision_on(config: LoopConfig, device: str) -> Precision:
    """The precision on this device: the one that is set, or for "auto" bfloat16 on a GPU and float32 on a CPU."""
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if torch.device(device).type == "cuda" else "float32"


def to_groups(networks: Networks) -> Groups:
    """All tensors that a checkpoint holds, by network and optimiser."""
    groups: dict[str, Mapping[str, Tensor]] = {
        "generator": networks.generator.state_dict(),
        "discriminator": networks.discriminator.state_dict(),
        "discriminator_adam": moments(networks.discriminator, networks.discriminator_adam),
    }
    if networks.generator_adam is not None:
        groups["generator_adam"] = moments(networks.generator, networks.generator_adam)
    return groups


def from_groups(networks: Networks, groups: Groups) -> None:
    """Load a checkpoint's tensors: the inverse of :func:`to_groups`."""
    networks.generator.load_state_dict(groups["generator"])
    networks.discriminator.load_state_dict(groups["discriminator"])
    put_moments(networks.discriminator, networks.discriminator_adam, groups["discriminator_adam"])
    if networks.generator_adam is not None:
        put_moments(networks.generator, networks.generator_adam, groups["generator_adam"])


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's tensors as they are now, on its device."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def digest(network: nn.Module) -> str:
    """sha256 of a network's tensors, their names and shapes."""
    total = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().data)
    return total.hexdigest()


def set_rate(optimiser: torch.optim.Adam, rate: float) -> None:
    """Set the learning rate of the steps to come."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def _adam(network: nn.Module, config: LoopConfig) -> torch.optim.Adam:
    """Adam over the parameters that are trained. ``fused``: one kernel updates them all."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.Adam(trained, lr=config.learning_rate, betas=betas, fused=True)


def moments(network: nn.Module, optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """``<parameter>/<exp_avg | exp_avg_sq | step>``, of the parameters that have been stepped."""
    return {
        f"{name}/{part}": tensor
        for name, parameter in network.named_parameters()
        for part, tensor in optimiser.state.get(parameter, {}).items()
    }


def put_moments(network: nn.Module, optimiser: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Load an optimiser's state: the inverse of :func:`moments`."""
    parameters = dict(network.named_parameters())
    for key, tensor in tensors.items():
        name, part = key.rsplit("/", 1)
        parameter = parameters[name]
        # In the parameter's own memory layout, which the fused kernel expects of all its tensors.
        like = parameter.detach() if tensor.shape == parameter.shape and part != "step" else tensor
        optimiser.state[parameter][part] = torch.empty_like(like, device=parameter.device).copy_(tensor)
