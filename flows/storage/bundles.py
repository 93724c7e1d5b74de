"""Opens and copies bundles by URL. ``default`` is the bundle that is shipped with the package.

Settings and tasks have the word ``default`` and never the folder that it stands for, which differs between nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attgan.errors import UserError
from attgan.models import BundleInfo, inspect_bundle
from attgan.models.default import default_bundle_path
from flows.storage import Store, open_store
from flows.urls import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from attgan.models import Bundle


def open_bundle(url: str, option: str = "--bundle", *, with_discriminator: bool = True) -> Bundle:
    """Load the bundle at a URL, or the default one.

    Args:
        url: of its folder, or ``default``.
        option: the user's option for it, for error messages.
        with_discriminator: whether to read the discriminator, if there is one.

    Raises:
        UserError: there is no bundle, or it is damaged.
        StorageError: the storage failed.
    """
    from attgan.models import load_bundle

    filesystem, path = _store(url, option).filesystem()
    return load_bundle(path, filesystem, with_discriminator=with_discriminator, label=f"{option} {url}")


def inspect(url: str, option: str = "--bundle") -> BundleInfo:
    """The configuration, card and digest of the bundle at a URL, or of the default one. No weights are read.

    Raises:
        UserError: there is no bundle, or its configuration is damaged.
        StorageError: the storage failed.
    """
    filesystem, path = _store(url, option).filesystem()
    return inspect_bundle(path, filesystem, f"{option} {url}")


def save_copy(
    bundle: Bundle, url: str, *, about: str, metrics: Mapping[str, float], **changes: Any
) -> BundleInfo:
    """Write a loaded bundle to another folder, with a card of its own.

    Args:
        bundle: as loaded; what was not loaded of it is left out.
        url: of the folder, the user's ``--destination`` or below it.
        about, metrics: of the card.
        changes: other arguments of :func:`attgan.models.save_bundle` that differ from the bundle's.

    Raises:
        UserError: the folder holds a bundle, and ``overwrite`` is not set; a tensor is not finite.
        StorageError: the storage failed.
    """
    from attgan.models import save_bundle

    filesystem, path = open_store(url, option="--destination").filesystem()
    same = {
        "generator": bundle.generator,
        "discriminator": bundle.discriminator,
        "classifier": bundle.classifier,
        "attributes": bundle.config.attributes,
        "licence": bundle.config.licence,
        "dtype": bundle.config.dtype,
    }
    card = {"about": about, "metrics": metrics, "label": f"--destination {url}"}
    return save_bundle(path, filesystem=filesystem, **same | card | changes)


def place_of(url: str, option: str = "--bundle") -> str:
    """The URL of a bundle's folder. For ``default`` it is the folder on this machine.

    Raises:
        UserError: this installation has no default bundle.
    """
    if url != DEFAULT_BUNDLE:
        return url
    try:
        return default_bundle_path()
    except UserError as error:
        raise UserError(error.code, f"{option} {url}: {error.line}") from None


def _store(url: str, option: str) -> Store:
    store = open_store(place_of(url, option), option=option)
    store.check()
    return store
