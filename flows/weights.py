"""Bundles to begin with: imported from published weights, or freshly initialised."""

from __future__ import annotations

from typing import Any

from attgan.attributes import PUBLISHED
from attgan.models import BundleInfo, Generator, GeneratorConfig, fresh, save_bundle
from flows.settings import InitSettings
from flows.storage import open_store

UNTRAINED = "MIT; freshly initialised, saw no data"


def init(settings: InitSettings) -> list[dict[str, Any]]:
    """Write a bundle with a freshly initialised generator; returns a table of what it is.

    Raises:
        UserError: a bundle is there already, or the place cannot be written to.
    """
    config = GeneratorConfig(
        n_attributes=len(PUBLISHED),
        image_size=settings.image_size,
        width=settings.width,
        shortcut_layers=settings.shortcut_layers,
        inject_layers=settings.inject_layers,
    )
    store = open_store(settings.destination, option="--destination")
    store.check(write=True)
    filesystem, path = store.filesystem()
    info = save_bundle(
        path,
        generator=fresh(Generator, config, settings.seed),
        attributes=PUBLISHED,
        licence=UNTRAINED,
        about="A generator as it is before training: it edits nothing in particular.",
        filesystem=filesystem,
        label=f"--destination {settings.destination}",
    )
    return describe(info)


def describe(info: BundleInfo) -> list[dict[str, Any]]:
    """A bundle's settings as rows of a table."""
    rows = {
        "digest": info.digest[:16],
        "attributes": ", ".join(info.config.attributes),
        "image size": info.config.image_size,
        "width": info.config.generator.width,
        "shortcut layers": info.config.generator.shortcut_layers,
        "inject layers": info.config.generator.inject_layers,
        "discriminator": "yes" if info.config.discriminator else "no",
        "licence": info.config.licence,
    }
    return [{"what": what, "value": value} for what, value in rows.items()]
