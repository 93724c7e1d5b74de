"""Bundles by URL. The word ``default`` is the one that the package brings.

The word travels, in settings and to the workers, and never the folder that it stands for: each node has its own.
"""

from __future__ import annotations

from attgan.errors import UserError
from attgan.models import Bundle, BundleInfo, inspect_bundle, load_bundle
from attgan.models.default import default_bundle_path
from flows.storage import Store, open_store
from flows.urls import DEFAULT_BUNDLE


def open_bundle(url: str, option: str = "--bundle", *, with_discriminator: bool = True) -> Bundle:
    """Load the bundle at a URL, or the default one.

    Args:
        url: of its folder, or ``default``.
        option: what the user calls it, for error messages.
        with_discriminator: whether to read it where there is one.

    Raises:
        UserError: no bundle is there, or it is damaged.
        StorageError: what else the storage reports.
    """
    filesystem, path = _store(url, option).filesystem()
    return load_bundle(path, filesystem, with_discriminator=with_discriminator, label=f"{option} {url}")


def inspect(url: str, option: str = "--bundle") -> BundleInfo:
    """Settings, card and digest of the bundle at a URL, or of the default one; no weights are read.

    Raises:
        UserError: no bundle is there, or its settings are damaged.
        StorageError: what else the storage reports.
    """
    filesystem, path = _store(url, option).filesystem()
    return inspect_bundle(path, filesystem, f"{option} {url}")


def place_of(url: str, option: str = "--bundle") -> str:
    """The URL of a bundle's folder, with the default one's as it is on this machine.

    Raises:
        UserError: the default one is meant, and this installation has none.
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
