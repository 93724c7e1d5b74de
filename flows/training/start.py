"""The networks that a training starts with: from a bundle, or freshly initialised."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from attgan.attributes import CELEBA, PUBLISHED, STYLES, check_names
from attgan.errors import UserError
from attgan.evaluation.evaluator import Evaluator, fitted
from attgan.models import (
    AttributeClassifier,
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    fresh,
    with_styles,
)
from attgan.training.strategies import PAIRED, STRATEGIES
from attgan.training.validation import sees_edits
from flows.settings import AlignSettings, TrainSettings
from flows.storage.bundles import open_bundle
from flows.training.evaluators import open_evaluator
from flows.training.weights import UNTRAINED

# Settings of fresh networks, and those of a fresh discriminator.
_SHAPE = (
    *("size", "width", "shortcut_layers", "inject_layers", "attributes"),
    *("encoder_activation", "decoder_activation", "slope"),
)
_DISCRIMINATOR = ("discriminator_activation", "head_activation")
# Hidden units of a discriminator's heads for each channel of its width: 1024 at full width.
_HEADS = 16


@dataclass(frozen=True)
class Start:
    """What a run starts with.

    Attributes:
        attributes: names, in the order of the networks' vectors.
        generator, discriminator: before the first step, float32 on the CPU.
        classifier: the bundle's source attribute classifier. Training does not change it.
        generator_from, discriminator_from: where they come from, in words.
        licence: the bundle's licence line; None from scratch.
        evaluator: scores the edits in place of that classifier; of the same attributes. It becomes the classifier of a
            bundle that has none.
        evaluator_from: where it comes from, in words.
    """

    attributes: tuple[str, ...]
    generator: Generator
    discriminator: Discriminator
    classifier: AttributeClassifier | None
    generator_from: str
    discriminator_from: str
    licence: str | None
    evaluator: Evaluator | None = None
    evaluator_from: str | None = None


def make_start(settings: TrainSettings | AlignSettings) -> Start:
    """Load or initialise the networks.

    Raises:
        UserError: a bundle that is missing or damaged, a bundle together with options that shape a new network, an
            unknown attribute, or an evaluator of other attributes or another size.
    """
    if settings.bundle is not None:
        start = _from_bundle(settings, settings.bundle)
    else:
        assert isinstance(settings, TrainSettings)
        start = _from_scratch(settings)
    if (
        isinstance(settings, TrainSettings)
        and settings.strategy == PAIRED.name
        and not start.generator.config.styles
    ):
        start = replace(start, generator=with_styles(start.generator, STYLES))
    url = settings.evaluator if isinstance(settings, TrainSettings) else None
    if url is None:
        return start
    found = open_evaluator(url)
    evaluator = fitted(found, start.attributes, start.generator.config.image_size, f"--evaluator {url}")
    return replace(start, evaluator=evaluator, evaluator_from=f"{url} ({found.digest[:16]})")


def describe_evaluator(settings: TrainSettings, start: Start) -> str:
    """Describe what scores the edits, and how accurate it is on unedited faces. Without URLs: it is published."""
    if start.evaluator is not None:
        score = start.evaluator.score_of(settings.attribute)
        if score is None or math.isnan(score.balanced_accuracy):
            return start.evaluator.about
        faces = "" if start.evaluator.faces is None else f" {start.evaluator.faces:,}"
        return (
            f"{start.evaluator.about}; its balanced accuracy on{faces} held-out faces is "
            f"{score.balanced_accuracy:.3f} for {settings.attribute}"
        )
    if start.classifier is not None:
        return "the starting bundle's classifier"
    if sees_edits(STRATEGIES[settings.strategy], None):
        return "the discriminator that is being trained"
    return "nothing"


def licence_line(settings: TrainSettings | AlignSettings, subset: str, start: Start) -> str:
    """The licence line of the result: of the weights that it starts from or includes, and of the data."""
    line = joined_licence(start.licence, settings.licence, subset)
    passed_on = start.evaluator if start.classifier is None else None
    if passed_on is None or passed_on.licence is None or passed_on.licence in line:
        return line
    return f"{line}; its classifier: {passed_on.licence}"


def joined_licence(before: str | None, chosen: str | None, subset: str) -> str:
    """Join a bundle's licence line and that of the data.

    Args:
        before: of the bundle.
        chosen: of the data, if the user gave one.
        subset: the dataset's name, for data without a line.
    """
    data = chosen or f"trained on the dataset {subset}: the terms of its images apply"
    if before is None or before == UNTRAINED:
        return data
    name, _, further = data.partition("; ")
    if further and before.startswith(f"{name}; "):
        # Both are of the same licence, which is named once.
        data = further
    return before if data in before else f"{before}; {data}"


def _from_scratch(settings: TrainSettings) -> Start:
    names = tuple(settings.attributes or PUBLISHED)
    _check_attributes(names)
    shape = {"width": settings.width, "image_size": settings.size, "n_attributes": len(names)}
    shape |= {"shortcut_layers": settings.shortcut_layers, "inject_layers": settings.inject_layers}
    activations = {
        "encoder_activation": settings.encoder_activation,
        "decoder_activation": settings.decoder_activation,
        "slope": settings.slope,
    }
    config = GeneratorConfig.model_validate(_chosen(shape | activations))
    return Start(
        attributes=names,
        generator=fresh(Generator, config, settings.seed),
        discriminator=_fresh_discriminator(config, settings),
        classifier=None,
        generator_from="freshly initialised",
        discriminator_from="freshly initialised",
        licence=None,
    )


def _from_bundle(settings: TrainSettings | AlignSettings, url: str) -> Start:
    _refuse_shape(settings, _SHAPE, "only a training from scratch takes it")
    bundle = open_bundle(url)
    from_bundle = f"{url} ({bundle.digest[:16]})"
    keep = bundle.discriminator is not None and not settings.fresh_discriminator
    if keep:
        _refuse_shape(settings, _DISCRIMINATOR, "only a new discriminator takes it (--fresh-discriminator)")
    return Start(
        attributes=bundle.config.attributes,
        generator=bundle.generator,
        discriminator=(bundle.discriminator if keep else None)
        or _fresh_discriminator(bundle.config.generator, settings),
        classifier=bundle.classifier,
        generator_from=from_bundle,
        discriminator_from=from_bundle if keep else "freshly initialised",
        licence=bundle.config.licence,
    )


def _refuse_shape(settings: TrainSettings | AlignSettings, names: tuple[str, ...], who: str) -> None:
    """Refuse options of fresh networks where a bundle's are used.

    Raises:
        UserError: one of the options is set.
    """
    for name in names:
        value = getattr(settings, name, None)
        if value is not None:
            option = f"--{name.replace('_', '-')} {' '.join(value) if isinstance(value, list) else value}"
            raise UserError("bundle-fixes-shape", f"{option}: is fixed by the bundle; {who}")


def _fresh_discriminator(
    generator: GeneratorConfig, settings: TrainSettings | AlignSettings
) -> Discriminator:
    shape = {
        "n_attributes": generator.n_attributes,
        "image_size": generator.image_size,
        "width": generator.width,
        "hidden": min(_HEADS * generator.width, DiscriminatorConfig().hidden),
    }
    activations = {
        "activation": settings.discriminator_activation,
        "head_activation": settings.head_activation,
        "slope": settings.slope if isinstance(settings, TrainSettings) else None,
    }
    config = DiscriminatorConfig.model_validate(_chosen(shape | activations))
    # Another seed than the generator's, so that the two do not draw the same numbers.
    return fresh(Discriminator, config, settings.seed + 1)


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """The options that are set."""
    return {name: value for name, value in options.items() if value is not None}


def _check_attributes(names: tuple[str, ...]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError("attribute-repeated", f"--attributes {name}: is named twice")
    check_names(names, CELEBA, "--attributes")
