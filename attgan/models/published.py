"""Import of AttGAN-PyTorch checkpoints (``.pth``): a published generator, or one with its discriminator.

Such a file contains ``{"G": state dict}``, sometimes with ``"D"`` and optimizer states, or only the state dict of
the generator. Keys may start with ``module.``, from a data-parallel run. Nothing but tensors is unpickled.

Source of the key names: the public repository elvisyjlin/AttGAN-PyTorch, ``attgan.py`` and ``nn.py``.
"""

import io
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pyarrow import fs
from pydantic import ValidationError
from torch import Tensor

from attgan.attributes import PUBLISHED
from attgan.errors import UserError
from attgan.models.build import from_tensors
from attgan.models.bundle_config import first_problem, printable
from attgan.models.configs import Activation, DiscriminatorConfig, GeneratorConfig
from attgan.models.discriminator import Discriminator
from attgan.models.folder import local_path
from attgan.models.generator import Generator
from attgan.models.shapes import discriminator_settings, generator_settings

LICENCE = "AttGAN-PyTorch weights (code MIT), trained on CelebA: non-commercial research only"
"""The licence line of the published weights. CelebA is for non-commercial research."""

_PREFIX = "module."


@dataclass(frozen=True, slots=True)
class Published:
    """The content of a checkpoint, ready for ``save_bundle``."""

    attributes: tuple[str, ...]
    generator: Generator
    discriminator: Discriminator | None


def import_published(
    path: str | os.PathLike[str],
    filesystem: fs.FileSystem | None = None,
    *,
    attributes: Sequence[str] | None = None,
    image_size: int | None = None,
    shortcut_layers: int | None = None,
    inject_layers: int | None = None,
    encoder_activation: Activation = "leaky_relu",
    decoder_activation: Activation = "relu",
    discriminator_activation: Activation = "leaky_relu",
    head_activation: Activation = "relu",
    slope: float = 0.01,
    label: str | None = None,
) -> Published:
    """Read a published checkpoint. Settings that follow from the tensors' shapes are derived; the others are options.

    Args:
        path: the ``.pth`` file.
        filesystem: None for the local disk.
        attributes: names in the order of the vector; by default the 13 published ones.
        image_size: needed unless the file has a discriminator: a generator's tensors are the same for every size.
        shortcut_layers, inject_layers: needed only if several values fit the shapes.
        encoder_activation, decoder_activation: of the generator.
        discriminator_activation, head_activation: of the discriminator's convolutions and heads.
        slope: of every leaky activation. The published weights were trained with PyTorch's 0.01, the TensorFlow
            original's with 0.2.
        label: what refusals start with, the option and its value.

    Raises:
        UserError: the file is missing or damaged, contains other objects than tensors, is not an AttGAN, or
            contradicts an option. It names the tensor's key, if any.
        OSError: the filesystem failed otherwise.
    """
    where = label or f"checkpoint {os.fspath(path)}"
    parts = _state_dicts(_unpickle(os.fspath(path), filesystem or fs.LocalFileSystem(), where), where)
    shape = generator_settings(parts["G"], f"{where}: generator", shortcut_layers, inject_layers)
    discriminator_shape = (
        discriminator_settings(parts["D"], f"{where}: discriminator") if "D" in parts else None
    )
    if discriminator_shape and discriminator_shape["n_attributes"] != shape["n_attributes"]:
        raise UserError(
            "pth-networks-differ",
            f"{where}: the discriminator knows {discriminator_shape['n_attributes']} attributes, "
            f"the generator {shape['n_attributes']}",
        )
    if discriminator_shape and image_size not in (None, discriminator_shape["image_size"]):
        raise UserError(
            "image-size-conflict",
            f"{where}: --image-size {image_size} contradicts the discriminator, which is for "
            f"{discriminator_shape['image_size']}",
        )
    names = _names(attributes, shape["n_attributes"], where)
    size = discriminator_shape["image_size"] if discriminator_shape else image_size
    if size is None:
        raise UserError(
            "image-size-needed",
            f"{where}: holds a generator alone, whose tensors are the same for every size of images; give the one "
            "that it was trained on with --image-size (128, 256 and 384 were published)",
        )
    try:
        config = GeneratorConfig.model_validate(
            shape
            | {
                "image_size": size,
                "encoder_activation": encoder_activation,
                "decoder_activation": decoder_activation,
                "slope": slope,
            }
        )
        discriminator_config = discriminator_shape and DiscriminatorConfig.model_validate(
            discriminator_shape
            | {"activation": discriminator_activation, "head_activation": head_activation, "slope": slope}
        )
    except ValidationError as error:
        raise UserError("network-settings-invalid", f"{where}: {first_problem(error)}") from None
    generator = from_tensors(Generator, config, _with_counters(parts["G"]), f"{where}: generator")
    discriminator = None
    if discriminator_config:
        discriminator = from_tensors(
            Discriminator, discriminator_config, _with_counters(parts["D"]), f"{where}: discriminator"
        )
    return Published(names, generator, discriminator)


def _unpickle(path: str, filesystem: fs.FileSystem, where: str) -> Any:
    """The object in the file: containers, numbers, strings and tensors only."""
    local = local_path(path, filesystem)
    memory_map = local is not None and zipfile.is_zipfile(local)
    # The files of 2018 to 2020 are of an older format, which cannot be memory-mapped.
    source: Path | io.BytesIO = local if local and memory_map else io.BytesIO(_read(path, filesystem, where))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True, mmap=memory_map)
    except pickle.UnpicklingError as error:
        # PyTorch's own message is not passed on: it advises to load such a file without the safeguard.
        if found := re.search(r"GLOBAL (\w+(?:\.\w+)+)", str(error)):
            raise UserError(
                "pth-pickled-object",
                f"{where}: holds a pickled object ({found[1]}), not only tensors; it was not loaded",
            ) from None
        raise UserError("pth-unreadable", f"{where}: is damaged or no PyTorch checkpoint") from None
    except OSError as error:
        raise UserError(
            "pth-unreadable", f"{where}: is damaged or cannot be read ({printable(str(error))})"
        ) from None
    # Damaged bytes raise nearly anything, from struct.error to UnicodeDecodeError.
    except Exception:
        raise UserError("pth-unreadable", f"{where}: is damaged or no PyTorch checkpoint") from None


def _read(path: str, filesystem: fs.FileSystem, where: str) -> bytes:
    kind = filesystem.get_file_info(path).type
    if kind == fs.FileType.NotFound:
        raise UserError("pth-missing", f"{where}: there is no such file")
    if kind == fs.FileType.Directory:
        raise UserError("pth-missing", f"{where}: is a folder; a checkpoint is one .pth file")
    with filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def _state_dicts(loaded: Any, where: str) -> dict[str, dict[str, Tensor]]:
    """The state dicts by the network's letter, G and perhaps D, without ``module.``."""
    if not isinstance(loaded, Mapping):
        raise UserError("pth-content-unknown", f"{where}: holds a {type(loaded).__name__}, not a state dict")
    if "G" in loaded:
        return {letter: _state_dict(loaded[letter], letter, where) for letter in "GD" if letter in loaded}
    if any(str(name).removeprefix(_PREFIX).startswith("enc_layers.") for name in loaded):
        return {"G": _state_dict(loaded, "G", where)}
    names = printable(", ".join(repr(name) for name in list(loaded)[:3])) or "nothing"
    raise UserError(
        "pth-content-unknown",
        f"{where}: holds {names}, but neither 'G' nor the tensors of an AttGAN generator",
    )


def _state_dict(loaded: Any, letter: str, where: str) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping):
        raise UserError(
            "pth-content-unknown", f"{where}: {letter!r} is a {type(loaded).__name__}, not a state dict"
        )
    tensors: dict[str, Tensor] = {}
    for key, tensor in loaded.items():
        name = str(key).removeprefix(_PREFIX)
        shown = printable(name)
        if not isinstance(tensor, Tensor):
            raise UserError(
                "pth-tensor-invalid",
                f"{where}: {letter!r} holds {type(tensor).__name__} under {shown}, not a tensor",
            )
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise UserError(
                "pth-tensor-invalid", f"{where}: tensor {shown} of {letter!r} is not a plain one with values"
            )
        if name in tensors:
            raise UserError(
                "pth-tensor-invalid",
                f"{where}: tensor {shown} comes twice in {letter!r}, with and without {_PREFIX!r}",
            )
        tensors[name] = tensor.detach()
    return tensors


def _with_counters(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the batch norms' counters: files of PyTorch before 0.4.1 lack them, and nothing depends on them."""
    suffix = ".running_mean"
    norms = [name.removesuffix(suffix) for name in tensors if name.endswith(suffix)]
    return {f"{norm}.num_batches_tracked": torch.tensor(0) for norm in norms} | tensors


def _names(attributes: Sequence[str] | None, count: int, where: str) -> tuple[str, ...]:
    if attributes is None:
        if count != len(PUBLISHED):
            raise UserError(
                "attribute-names-needed",
                f"{where}: the generator has {count} attributes; name them with --attributes, in their order",
            )
        return PUBLISHED
    if len(attributes) != count:
        raise UserError(
            "attribute-count-mismatch",
            f"{where}: --attributes names {len(attributes)} attributes and the generator has {count}",
        )
    return tuple(attributes)
