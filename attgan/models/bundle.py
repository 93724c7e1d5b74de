"""A trained model in a folder on any filesystem: settings, weights and a model card. Nothing is pickled.

``config.json`` is written last and holds the sha256 of every weights file, so that a folder that is half written or
half replaced is not a bundle. The digest is that of ``sha256sum``'s own listing:
``cd BUNDLE && LC_ALL=C sha256sum * | sha256sum``.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pyarrow import fs
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from attgan.errors import UserError
from attgan.models.build import from_tensors
from attgan.models.bundle_config import (
    CARD,
    CLASSIFIER,
    CONFIG,
    DISCRIMINATOR,
    GENERATOR,
    BundleConfig,
    StorageDtype,
    first_problem,
)
from attgan.models.bundle_info import BundleInfo, digest_of, inspect_bundle, read_file
from attgan.models.card import write_card
from attgan.models.classifier import AttributeClassifier
from attgan.models.discriminator import Discriminator
from attgan.models.folder import Folder
from attgan.models.generator import Generator
from attgan.models.tensors import pack, restore, unpack
from attgan.version import SOFTWARE

Network = TypeVar("Network", bound=nn.Module)
Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Bundle(BundleInfo):
    """A loaded bundle: networks in evaluation mode, float32, on the CPU."""

    generator: Generator
    discriminator: Discriminator | None
    classifier: AttributeClassifier | None


def save_bundle(
    path: str | os.PathLike[str],
    *,
    generator: Generator,
    attributes: Sequence[str],
    licence: str,
    about: str,
    metrics: Mapping[str, float] | None = None,
    discriminator: Discriminator | None = None,
    classifier: AttributeClassifier | None = None,
    dtype: StorageDtype = "float32",
    overwrite: bool = False,
    filesystem: fs.FileSystem | None = None,
    label: str | None = None,
) -> BundleInfo:
    """Write a bundle; ``config.json`` comes last.

    Args:
        path: the folder, created if it is missing.
        generator, discriminator, classifier: what to store.
        attributes: names in the order of the generator's attribute vector.
        licence: one line: what the weights may be used for.
        about: text of the card, Markdown: the data and the training.
        metrics: of the card.
        dtype: float16 halves the size of the files.
        overwrite: replace an existing bundle.
        filesystem: None for the local disk.
        label: what refusals start with, the option and its value.

    Raises:
        UserError: a bundle exists already, the path is a file, the settings contradict each other, or a
            tensor is not finite.
        OSError: the filesystem failed.
    """
    where = label or f"bundle {os.fspath(path)}"
    folder = Folder(path, filesystem)
    _check_free(folder, overwrite, where)
    contents = {GENERATOR: pack(generator.state_dict(), dtype, f"{where}: generator")}
    if discriminator is not None:
        contents[DISCRIMINATOR] = pack(discriminator.state_dict(), dtype, f"{where}: discriminator")
    if classifier is not None:
        contents[CLASSIFIER] = pack(classifier.state_dict(), dtype, f"{where}: classifier")
    try:
        config = BundleConfig.model_validate(
            {
                "attributes": tuple(attributes),
                "generator": generator.config,
                "discriminator": discriminator.config if discriminator else None,
                "classifier": classifier.config if classifier else None,
                "dtype": dtype,
                "software": SOFTWARE,
                "licence": licence,
                "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            }
        )
    except ValidationError as error:
        raise UserError("bundle-config-invalid", f"{where}: {first_problem(error)}") from None
    settings: dict[str, BaseModel] = {"generator": config.generator}
    if config.discriminator:
        settings["discriminator"] = config.discriminator
    if config.classifier:
        settings["classifier"] = config.classifier
    card = write_card(about, config.licence, config.attributes, settings, metrics or {})
    raw_config = (config.model_dump_json(indent=2) + "\n").encode()
    # From here until the new config.json is written, the folder is not a bundle.
    folder.remove(CONFIG)
    for name in (GENERATOR, DISCRIMINATOR, CLASSIFIER):
        if name in contents:
            folder.write(name, contents[name])
        else:
            folder.remove(name)
    folder.write(CARD, card.encode())
    folder.write(CONFIG, raw_config)
    return BundleInfo(config, card, digest_of(config, raw_config, card.encode()))


def load_bundle(
    path: str | os.PathLike[str],
    filesystem: fs.FileSystem | None = None,
    *,
    with_discriminator: bool = True,
    label: str | None = None,
) -> Bundle:
    """Read a bundle and check every tensor and every file against ``config.json``.

    Args:
        path: the folder.
        filesystem: None for the local disk.
        with_discriminator: whether to read it if there is one; editing does not need it.
        label: what refusals start with, the option and its value.

    Raises:
        UserError: there is no bundle, or a file or tensor is missing, unexpected, truncated, of another shape or
            dtype, not finite, or not the recorded one. It names the file and the tensor.
        OSError: the filesystem failed otherwise.
    """
    where = label or f"bundle {os.fspath(path)}"
    folder = Folder(path, filesystem)
    info = inspect_bundle(path, filesystem, label)
    config = info.config
    generator = _load_network(folder, GENERATOR, Generator, config.generator, config, where)
    discriminator = classifier = None
    if with_discriminator and config.discriminator:
        discriminator = _load_network(
            folder, DISCRIMINATOR, Discriminator, config.discriminator, config, where
        )
    if config.classifier:
        classifier = _load_network(folder, CLASSIFIER, AttributeClassifier, config.classifier, config, where)
    return Bundle(config, info.card, info.digest, generator, discriminator, classifier)


def _load_network(
    folder: Folder,
    name: str,
    network: Callable[[Config], Network],
    settings: Config,
    config: BundleConfig,
    where: str,
) -> Network:
    tensors, content = _load_tensors(folder, name, config, where)
    built = from_tensors(network, settings, tensors, f"{where}: {name}")
    # After the tensors, so that the refusal of a damaged file names the tensor if it can.
    _check_recorded(content, name, config, where)
    return built


def _load_tensors(
    folder: Folder, name: str, config: BundleConfig, where: str
) -> tuple[dict[str, Tensor], bytes]:
    content = read_file(folder, name, where)
    tensors = unpack(content, f"{where}: {name}")
    return restore(tensors, config.dtype, f"{where}: {name}"), content


def _check_recorded(content: bytes, name: str, config: BundleConfig, where: str) -> None:
    if hashlib.sha256(content).hexdigest() != config.files[name]:
        raise UserError(
            "checksum-mismatch", f"{where}: {name} is not the file that {CONFIG} records (its sha256 differs)"
        )


def _check_free(folder: Folder, overwrite: bool, where: str) -> None:
    if folder.is_file():
        raise UserError("bundle-not-folder", f"{where}: is a file; a bundle is a folder")
    if not overwrite and folder.has(CONFIG):
        raise UserError(
            "bundle-exists",
            f"{where}: there is a bundle or another model's {CONFIG} already; it is not replaced",
        )
