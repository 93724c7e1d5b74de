"""Validation: measures both networks on a fixed set of held-out faces with fixed edits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attgan.data.loading.loader import Faces
from attgan.data.transforms import to_float
from attgan.errors import UserError
from attgan.evaluation.metrics import psnr, right_attributes, right_verdicts, ssim
from attgan.models import AttributeClassifier
from attgan.randomness import generator_for
from attgan.training.losses import (
    Adversarial,
    LossWeights,
    adversarial_loss,
    attribute_loss,
    critic_loss,
    generator_objective,
)
from attgan.training.networks import Networks
from attgan.training.strategies import Strategy, Stream, network_values
from attgan.training.strategies.inverse import flipped

# At edit time the edited attribute alone is scaled by the intensity, and this is the usual one.
INTENSITY = 1.0
# A reconstruction without any error has an infinite PSNR, and the mean must be finite.
HIGHEST_PSNR = 100.0
_BATCH = 64

Values = dict[str, Tensor]


@dataclass(frozen=True)
class HeldOut:
    """The fixed set of m faces.

    Attributes:
        images: (m, 3, S, S) uint8, on the device.
        labels: (m, n) in {0, 1}, on the device.
        targets: (m, n) in {0, 1}, the attributes that the strategy's edits ask for.
        attribute: column of the attribute that is trained; None in an alignment, which trains all.
        source, real: (m,) bool: which of the faces the strategy edits, and which it shows as real.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
    attribute: int | None
    source: Tensor
    real: Tensor


@dataclass(frozen=True)
class ValidationDraw:
    """What decides the fixed set of trainings that are validated on the same one.

    Attributes:
        seed: draws faces, targets and rendered glasses.
        strategies: names of all their strategies; each stream of each of them has its quarter of the set.
    """

    seed: int
    strategies: tuple[str, ...]


def in_stream(labels: np.ndarray, stream: Stream, attribute: int) -> np.ndarray:
    """(m,) bool: which rows of (m, n) labels belong to a stream."""
    if stream == "all":
        return np.ones(len(labels), dtype=bool)
    return labels[:, attribute].astype(bool) == (stream == "with")


def choose_rows(
    faces: Faces,
    strategy: Strategy,
    attribute: int | None,
    at_most: int,
    seed: int,
    others: Sequence[Strategy] = (),
) -> np.ndarray:
    """The rows of the fixed set: the dataset's held-out ones, or ``at_most`` of them, drawn by the seed.

    At least a quarter of the set, if there are so many, belongs to each stream of the strategy and of the ``others``
    that share the set, however rare it is.

    Raises:
        UserError: no row is held out, or none for one of the strategy's streams.
    """
    order = torch.randperm(len(faces.held_out), generator=generator_for(seed, "held-out rows", 0)).numpy()
    rows, column, first = faces.held_out[order], attribute or 0, np.zeros(len(order), dtype=bool)
    for each in (strategy, *others):
        for stream in (each.source, each.real):
            of_kind = np.flatnonzero(in_stream(faces.labels[rows], stream, column))
            if not len(of_kind):
                kind = "" if stream == "all" else f" {stream} {faces.attributes[column]}"
                raise UserError(
                    "held-out-rows-missing",
                    f"--strategy {each.name}: there is no held-out image{kind}, of {len(rows):,}, and a training "
                    "is validated on some",
                )
            first[of_kind[: max(1, at_most // 4)]] = True
    return np.sort(np.concatenate([rows[first], rows[~first]])[:at_most])


def hold_out(
    faces: Faces,
    rows: np.ndarray,
    *,
    strategy: Strategy,
    attribute: int | None,
    seed: int,
    device: torch.device,
) -> HeldOut:
    """Decode the fixed set and draw its targets, once for the whole run.

    Args:
        faces: the data.
        rows: what :func:`choose_rows` chose.
        strategy: what the edits ask for.
        attribute: column of the attribute that is trained, or None.
        seed: of the run.
        device: where the set stays.

    Raises:
        UserError: a part of the dataset is missing or changed.
    """
    column = attribute or 0
    batch, labels = faces.take(rows), faces.labels[rows]
    targets = strategy.targets(batch.labels, column, generator_for(seed, "held-out targets", 0))
    return HeldOut(
        batch.images.to(device),
        batch.labels.to(device),
        targets.to(device),
        attribute,
        torch.from_numpy(in_stream(labels, strategy.source, column)).to(device),
        torch.from_numpy(in_stream(labels, strategy.real, column)).to(device),
    )


def sees_edits(strategy: Strategy, evaluator: AttributeClassifier | None) -> bool:
    """Whether the edits can be scored.

    A discriminator that saw only real faces with the attribute (or only without) predicts that for every face, so it
    cannot score edits; then an evaluator is needed.
    """
    return evaluator is not None or strategy.real == "all"


def validate(
    networks: Networks,
    held_out: HeldOut,
    weights: LossWeights,
    mode: Adversarial,
    evaluator: AttributeClassifier | None = None,
    *,
    edits: bool = True,
) -> dict[str, float]:
    """Measure both networks in evaluation mode. The strategy's edits are made at the fixed intensity, ±0.5.

    Args:
        networks: on the device of the set.
        held_out: the fixed set.
        weights, mode: of the losses.
        evaluator: classifies the edited faces, in float32; None: the discriminator does.
        edits: whether to score edits, see :func:`sees_edits`.

    Returns:
        ``discriminator_loss`` without the penalty, and its ``critic`` and ``classification``; ``classifier_accuracy``
        over all attributes of real faces; ``real_accuracy``, ``fake_accuracy``, and ``critic_accuracy``, their mean.
        Where one attribute is trained also ``target_accuracy``, of it on real faces; ``generator_loss`` and its
        ``adversarial``, ``attributes``, ``reconstruction``; ``psnr`` and ``ssim`` of the reconstruction;
        and, where edits are scored, ``edited_accuracy``: the attribute of every face is inverted at intensity 1, and
        this is the share in which the evaluator sees it inverted; and ``quality``, ``ssim`` times ``edited_accuracy``.
    """
    networks.evaluate()
    starts = range(0, len(held_out.images), _BATCH)
    parts = [_measure(networks, held_out, evaluator, start, edits) for start in starts]
    networks.train()
    values = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    numbers = _of_discriminator(values, held_out, weights, mode)
    if held_out.attribute is not None:
        numbers |= _of_generator(values, held_out, weights, mode)
    measured = torch.stack([number.double() for number in numbers.values()]).tolist()
    return dict(zip(numbers, measured, strict=True))


def turned_values(labels: Tensor, attribute: int, intensity: float) -> Tensor:
    """(N, n) network values that keep all attributes but one, which is inverted at ``intensity``."""
    values = network_values(labels, "fixed", torch.Generator())
    values[:, attribute] = (1 - 2 * labels[:, attribute]) * intensity
    return values


def _of_discriminator(values: Values, held_out: HeldOut, weights: LossWeights, mode: Adversarial) -> Values:
    real, fake = values["critic_real"][held_out.real], values["critic_fake"][held_out.source]
    critic = critic_loss(real, fake, mode)
    classification = attribute_loss(values["logits"][held_out.real], held_out.labels[held_out.real])
    right_real, right_fake = (right.mean() for right in right_verdicts(real, fake))
    return {
        "discriminator_loss": critic + weights.discriminator_attributes * classification,
        "critic": critic,
        "classification": classification,
        "classifier_accuracy": right_attributes(values["logits"], held_out.labels).mean(),
        "real_accuracy": right_real,
        "fake_accuracy": right_fake,
        "critic_accuracy": (right_real + right_fake) / 2,
    }


def _of_generator(values: Values, held_out: HeldOut, weights: LossWeights, mode: Adversarial) -> Values:
    source = held_out.source
    adversarial = adversarial_loss(values["critic_fake"][source], mode)
    attributes = attribute_loss(values["fake_logits"][source], held_out.targets[source])
    reconstruction = values["distance"][source].mean()
    right = right_attributes(values["logits"], held_out.labels)[:, held_out.attribute]
    numbers = {
        "target_accuracy": right.mean(),
        "generator_loss": generator_objective(adversarial, attributes, reconstruction, weights),
        "adversarial": adversarial,
        "attributes": attributes,
        "reconstruction": reconstruction,
        "psnr": values["psnr"].mean(),
        "ssim": values["ssim"].mean(),
    }
    if "turned" in values:
        numbers["edited_accuracy"] = values["turned"].mean()
        numbers["quality"] = numbers["ssim"] * numbers["edited_accuracy"]
    return numbers


@torch.no_grad()
def _measure(
    networks: Networks, held_out: HeldOut, evaluator: AttributeClassifier | None, start: int, edits: bool
) -> Values:
    """Per image: the critic's values, the classifier's logits, and measures of reconstruction and usual edit."""
    part, attribute, none_drawn = slice(start, start + _BATCH), held_out.attribute, torch.Generator()
    images, labels = to_float(held_out.images[part]), held_out.labels[part]
    generator, discriminator = networks.generator, networks.discriminator
    with torch.autocast(networks.device.type, torch.bfloat16, enabled=networks.precision == "bfloat16"):
        features = generator.encode(images)
        fake = generator.decode(features, network_values(held_out.targets[part], "fixed", none_drawn))
        values = dict(zip(("critic_real", "logits"), discriminator(images), strict=True))
        values |= dict(zip(("critic_fake", "fake_logits"), discriminator(fake), strict=True))
        if attribute is not None:
            same = generator.decode(features, network_values(labels, "fixed", none_drawn))
            edited = generator.decode(features, turned_values(labels, attribute, INTENSITY))
            seen = discriminator(edited)[1] if edits and evaluator is None else None
    if attribute is not None:
        if edits and evaluator is not None:
            seen = evaluator(edited.float())
        if seen is not None:
            wanted = flipped(labels, attribute, none_drawn)
            values["turned"] = right_attributes(seen, wanted)[:, attribute]
        values["distance"] = (same.float() - images).abs().flatten(1).mean(1)
        values["psnr"] = psnr(same, images).clamp(max=HIGHEST_PSNR)
        values["ssim"] = ssim(same, images)
    return {name: value.float() for name, value in values.items()}
