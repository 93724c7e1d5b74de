"""Derive the settings of an AttGAN network from the names and shapes of its tensors.

Shapes do not determine a generator's image size, the activations and the attribute names. Only the tensors that are
needed here are checked here; all of them are checked when the network is built.
"""

import math
import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from torch import Tensor

from attgan.errors import UserError
from attgan.models.configs import (
    LAYERS,
    MAX_CHANNELS,
    SIZE_STEP,
    SMALLEST_SIZE,
    GeneratorConfig,
    Norm,
    channels,
)
from attgan.models.generator import decoder_inputs

Tensors = Mapping[str, Tensor]


def generator_settings(
    tensors: Tensors, where: str, shortcut_layers: int | None = None, inject_layers: int | None = None
) -> dict[str, Any]:
    """Width, number of attributes, shortcut and inject layers and norms of a generator.

    Args:
        tensors: its state dict.
        where: what refusals start with.
        shortcut_layers, inject_layers: the user's choice, or None.

    Raises:
        UserError: the tensors are not a generator of twice five layers, or no settings or several fit them and the
            user's choice.
    """
    width = _width(tensors, "enc_layers", where)
    _check_depth(tensors, "dec_layers", where)
    inputs = tuple(
        _shape(tensors, f"dec_layers.{depth}.layers.0.weight", 4, where)[0] for depth in range(LAYERS)
    )
    n_attributes = inputs[0] - channels(width)[-1]
    if n_attributes < 1:
        raise UserError(
            "network-shape-unsupported",
            f"{where}: tensor dec_layers.0.layers.0.weight takes {inputs[0]} channels and the encoder gives "
            f"{channels(width)[-1]}: there is no room for attributes",
        )
    fitting = _fitting(width, n_attributes, inputs, where)
    chosen = [
        pair for pair in fitting if shortcut_layers in (None, pair[0]) and inject_layers in (None, pair[1])
    ]
    if len(chosen) != 1:
        offers = " or ".join(f"{shortcut} and {inject}" for shortcut, inject in chosen or fitting)
        problem = "leave open" if chosen else "contradict"
        raise UserError(
            "layer-counts-needed",
            f"{where}: the shapes {problem} --shortcut-layers and --inject-layers: they can be {offers}",
        )
    return {
        "width": width,
        "n_attributes": n_attributes,
        "shortcut_layers": chosen[0][0],
        "inject_layers": chosen[0][1],
        "encoder_norm": _norm(tensors, "enc_layers", where),
        "decoder_norm": _norm(tensors, "dec_layers", where),
    }


def discriminator_settings(tensors: Tensors, where: str) -> dict[str, Any]:
    """Width, hidden units, number of attributes, image size and norm of a discriminator.

    Args:
        tensors: its state dict.
        where: what refusals start with.

    Raises:
        UserError: the tensors are not a discriminator of five layers with two heads.
    """
    width = _width(tensors, "conv", where)
    name = "fc_adv.0.layers.0.weight"
    hidden, features = _shape(tensors, name, 2, where)
    side = math.isqrt(features // channels(width)[-1])
    if side * SIZE_STEP < SMALLEST_SIZE or side**2 * channels(width)[-1] != features:
        raise UserError(
            "network-shape-unsupported",
            f"{where}: tensor {name} takes {features} features, which is no square of "
            f"{channels(width)[-1]} channels from {SMALLEST_SIZE // SIZE_STEP} pixels up",
        )
    return {
        "width": width,
        "hidden": hidden,
        "n_attributes": _shape(tensors, "fc_cls.1.layers.0.weight", 2, where)[0],
        "image_size": side * SIZE_STEP,
        "norm": _norm(tensors, "conv", where),
    }


def _fitting(width: int, n_attributes: int, inputs: tuple[int, ...], where: str) -> list[tuple[int, int]]:
    """The pairs of shortcut and inject layers with which the decoder's layers have exactly ``inputs`` channels."""
    pairs = list(product(range(LAYERS), range(LAYERS)))
    inputs_of = {
        pair: decoder_inputs(
            GeneratorConfig(
                width=width, n_attributes=n_attributes, shortcut_layers=pair[0], inject_layers=pair[1]
            )
        )
        for pair in pairs
    }
    for depth, count in enumerate(inputs):
        allowed = sorted({each[depth] for each in inputs_of.values()})
        if count not in allowed:
            raise UserError(
                "network-shape-unsupported",
                f"{where}: tensor dec_layers.{depth}.layers.0.weight takes {count} channels where "
                f"{' or '.join(map(str, allowed))} are wanted",
            )
    fitting = [pair for pair in pairs if inputs_of[pair] == inputs]
    if not fitting:
        raise UserError(
            "network-shape-unsupported",
            f"{where}: tensors dec_layers.*.layers.0.weight take {', '.join(map(str, inputs))} channels, "
            "which no number of shortcut and inject layers gives",
        )
    return fitting


def _width(tensors: Tensors, layers: str, where: str) -> int:
    _check_depth(tensors, layers, where)
    name = f"{layers}.0.layers.0.weight"
    width = _shape(tensors, name, 4, where)[0]
    if not 1 <= width <= MAX_CHANNELS:
        raise UserError(
            "network-shape-unsupported",
            f"{where}: tensor {name} gives {width} channels; 1 to {MAX_CHANNELS} are wanted",
        )
    return width


def _check_depth(tensors: Tensors, layers: str, where: str) -> None:
    found = [int(match[1]) for name in tensors if (match := re.match(rf"{layers}\.(\d{{1,4}})\.", name))]
    if not found:
        raise UserError("tensor-missing", f"{where}: tensor {layers}.0.layers.0.weight is missing")
    if max(found) + 1 != LAYERS:
        raise UserError(
            "network-shape-unsupported",
            f"{where}: {layers} has {max(found) + 1} layers where {LAYERS} are wanted",
        )


def _shape(tensors: Tensors, name: str, dimensions: int, where: str) -> tuple[int, ...]:
    if name not in tensors:
        raise UserError("tensor-missing", f"{where}: tensor {name} is missing")
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions:
        raise UserError(
            "tensor-shape-wrong",
            f"{where}: tensor {name} has {len(shape)} dimensions where {dimensions} are wanted",
        )
    return shape


def _norm(tensors: Tensors, layers: str, where: str) -> Norm:
    prefix = f"{layers}.0.layers.1."
    parts = {name.removeprefix(prefix) for name in tensors if name.startswith(prefix)}
    if "mean_weight" in parts:
        raise UserError(
            "norm-unsupported",
            f"{where}: tensor {prefix}mean_weight is of a switchable norm, which is not supported",
        )
    if "running_mean" in parts:
        return "batch"
    return "instance" if parts else "none"
