"""The commands init, import-weights and export: bundles that are made without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attgan.attributes import PUBLISHED
from attgan.errors import UserError
from attgan.models import (
    BundleInfo,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    fresh,
    import_published,
    save_bundle,
)
from attgan.models.card import read_card
from attgan.models.published import LICENCE
from flows.settings import ExportSettings, ImportWeightsSettings, InitSettings
from flows.storage import open_store
from flows.storage.bundles import open_bundle, save_copy

UNTRAINED = "MIT; freshly initialised, saw no data"


def init(settings: InitSettings) -> list[dict[str, Any]]:
    """Write a bundle with a freshly initialised generator; returns a table that describes it.

    Raises:
        UserError: the destination holds a bundle, or cannot be written to.
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
    return _written(info)


def import_weights(settings: ImportWeightsSettings) -> list[dict[str, Any]]:
    """Write a bundle from a published checkpoint; returns a table that describes it.

    Raises:
        UserError: the checkpoint is missing, damaged, or holds anything but AttGAN's tensors; or the destination holds
            a bundle, or cannot be written to.
    """
    folder, _, name = settings.checkpoint.rpartition("/")
    if not name or folder == "s3:/":
        raise UserError("file-name-missing", f"--checkpoint {settings.checkpoint}: must name one .pth file")
    source = open_store(folder or "/", option="--checkpoint")
    source.check()
    filesystem, path = source.filesystem()
    published = import_published(
        f"{path}/{name}" if path else name,
        filesystem,
        label=f"--checkpoint {settings.checkpoint}",
        **settings.model_dump(exclude={"checkpoint", "destination", "dry_run"}),
    )
    if settings.dry_run:
        discriminator = None if published.discriminator is None else published.discriminator.config
        return describe(published.generator.config, published.attributes, discriminator)
    store = open_store(settings.destination, option="--destination")
    store.check(write=True)
    filesystem, path = store.filesystem()
    info = save_bundle(
        path,
        generator=published.generator,
        discriminator=published.discriminator,
        attributes=published.attributes,
        licence=LICENCE,
        about=f"Imported from the published AttGAN-PyTorch checkpoint {name}.",
        filesystem=filesystem,
        label=f"--destination {settings.destination}",
    )
    return _written(info)


def export(settings: ExportSettings) -> list[dict[str, Any]]:
    """Copy a bundle in another dtype, by default without the discriminator; returns a table that describes the copy.

    Raises:
        UserError: the bundle is missing or damaged; or the destination holds a bundle, or cannot be written to.
    """
    bundle = open_bundle(settings.bundle, with_discriminator=settings.discriminator)
    open_store(settings.destination, option="--destination").check(write=True)
    about, metrics = read_card(bundle.card)
    info = save_copy(
        bundle,
        settings.destination,
        about=f"{about}\n\nExported in {settings.dtype} from the bundle whose digest is `{bundle.digest}`.",
        metrics=metrics,
        dtype=settings.dtype,
    )
    return _written(info)


def _written(info: BundleInfo) -> list[dict[str, Any]]:
    config = info.config
    rows = describe(config.generator, config.attributes, config.discriminator)
    return [
        *rows,
        {"what": "licence", "value": config.licence},
        {"what": "digest", "value": info.digest[:16]},
    ]


def describe(
    config: GeneratorConfig, attributes: Sequence[str], discriminator: DiscriminatorConfig | None
) -> list[dict[str, Any]]:
    """A model's settings as rows of a table."""
    rows = {"attributes": ", ".join(attributes)} | config.model_dump(exclude={"n_attributes"})
    rows["discriminator"] = "no"
    if discriminator is not None:
        rows["discriminator"] = f"yes, {discriminator.activation}, heads {discriminator.head_activation}"
    return [{"what": what.replace("_", " "), "value": value} for what, value in rows.items()]
