"""What a validation measures, against the same numbers worked out face by face, and that it changes nothing."""

import numpy as np
import pytest
import torch

from attgan.data.loading.loader import Faces
from attgan.data.transforms import to_float
from attgan.evaluation.metrics import psnr, ssim
from attgan.models import AttributeClassifier, ClassifierConfig, fresh
from attgan.training.losses import LossWeights
from attgan.training.networks import Networks, copy_to_device
from attgan.training.steps import generator_losses
from attgan.training.strategies import STRATEGIES
from attgan.training.validation import HeldOut, choose_rows, hold_out, validate
from tests.support.refusals import refused
from tests.support.small_training import small_config, small_discriminator, small_generator

GLASSES = 6
CPU = torch.device("cpu")
WEIGHTS = LossWeights(50, 10, 2, 10)


@pytest.fixture
def networks() -> Networks:
    return copy_to_device(
        small_generator(), small_discriminator(), small_config(), "cpu", train_generator=True
    )


def held(
    faces: Faces, strategy: str = "inverse", attribute: int | None = GLASSES, at_most: int = 99
) -> HeldOut:
    chosen = STRATEGIES[strategy]
    rows = choose_rows(faces, chosen, attribute, at_most, 3)
    return hold_out(faces, rows, strategy=chosen, attribute=attribute, seed=3, device=CPU)


def test_the_fixed_set_is_held_out_drawn_by_the_seed_and_has_the_strategys_targets(
    small_faces: Faces,
) -> None:
    whole, some, again = held(small_faces), held(small_faces, at_most=5), held(small_faces, at_most=5)
    assert len(whole.images) == len(small_faces.held_out) == 12
    assert torch.equal(whole.images, small_faces.take(small_faces.held_out).images)
    assert len(some.images) == 5
    assert torch.equal(some.images, again.images)
    turned = whole.labels.clone()
    turned[:, GLASSES] = 1 - turned[:, GLASSES]
    assert torch.equal(whole.targets, turned)


def test_with_alternate_edits_are_judged_on_faces_without_and_real_ones_have_it(small_faces: Faces) -> None:
    alternate = held(small_faces, "alternate")
    has = alternate.labels[:, GLASSES] == 1
    assert torch.equal(alternate.real, has)
    assert torch.equal(alternate.source, ~has)
    assert (alternate.targets[:, GLASSES] == 1).all()


def test_strategies_that_share_a_set_each_have_their_quarter_of_it(small_faces: Faces) -> None:
    strategies = [STRATEGIES[name] for name in ("inverse", "alternate", "paired")]
    black_hair = small_faces.attributes.index("Black_Hair")
    rows = [choose_rows(small_faces, each, black_hair, 4, 3, strategies) for each in strategies]
    assert all(np.array_equal(chosen, rows[0]) for chosen in rows)
    assert set(small_faces.labels[rows[0], black_hair]) == {False, True}


def test_a_strategy_that_lacks_held_out_faces_is_refused(small_faces: Faces) -> None:
    bald = small_faces.attributes.index("Bald")
    assert not small_faces.labels[small_faces.held_out][:, bald].any(), (
        "the drawn faces have changed: choose another attribute"
    )
    with refused("held-out-rows-missing", "--strategy alternate", "12"):
        held(small_faces, "alternate", bald)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_the_generators_numbers_are_those_of_its_step(
    small_faces: Faces, networks: Networks, strategy: str
) -> None:
    fixed = held(small_faces, strategy)
    numbers = validate(networks, fixed, WEIGHTS, "wgan")
    networks.evaluate()
    source = fixed.source
    losses = generator_losses(
        networks.generator,
        networks.discriminator,
        images=to_float(fixed.images[source]),
        labels=fixed.labels[source] - 0.5,
        targets=fixed.targets[source],
        target_values=fixed.targets[source] - 0.5,
        weights=WEIGHTS,
    )
    found = [numbers[name] for name in ("generator_loss", "adversarial", "attributes", "reconstruction")]
    assert found == pytest.approx([loss.item() for loss in losses], rel=1e-4)


@torch.no_grad()
def test_every_other_number_is_what_counting_face_by_face_gives(
    small_faces: Faces, networks: Networks
) -> None:
    fixed = held(small_faces)
    numbers = validate(networks, fixed, WEIGHTS, "wgan")
    networks.evaluate()
    real, fake, right, seen, decibels, likeness, entropy = [], [], [], [], [], [], []
    for image, labels in zip(to_float(fixed.images), fixed.labels, strict=True):
        face, values = image[None], labels[None] - 0.5
        score, logits = networks.discriminator(face)
        same = networks.generator(face, values)
        values[:, GLASSES] *= -1
        real.append(score.item())
        fake.append(networks.discriminator.critic(networks.generator(face, values)).item())
        values[:, GLASSES] *= 2
        edited = networks.discriminator(networks.generator(face, values))[1][0, GLASSES].item()
        seen.append((edited > 0) != bool(labels[GLASSES]))
        right.append(((logits[0] > 0) == labels.bool()).numpy())
        likelihood = torch.where(labels.bool(), logits[0], -logits[0]).sigmoid()
        entropy.append(-likelihood.log().mean().item())
        decibels.append(psnr(same, face).item())
        likeness.append(ssim(same, face).item())
    middle = (np.mean(real) + np.mean(fake)) / 2
    expected = {
        "critic": np.mean(fake) - np.mean(real),
        "classification": np.mean(entropy),
        "discriminator_loss": np.mean(fake) - np.mean(real) + 2 * np.mean(entropy),
        "classifier_accuracy": np.mean(right),
        "target_accuracy": np.mean([each[GLASSES] for each in right]),
        "real_accuracy": np.mean(real > middle),
        "fake_accuracy": np.mean(fake < middle),
        "critic_accuracy": (np.mean(real > middle) + np.mean(fake < middle)) / 2,
        "edited_accuracy": np.mean(seen),
        "psnr": np.mean(decibels),
        "ssim": np.mean(likeness),
        "quality": np.mean(likeness) * np.mean(seen),
    }
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-4, abs=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("strategy", ["inverse", "alternate"])
def test_a_classifier_that_is_given_judges_the_edits_in_place_of_the_discriminator(
    small_faces: Faces, networks: Networks, strategy: str
) -> None:
    fixed = held(small_faces, strategy)
    evaluator = fresh(AttributeClassifier, ClassifierConfig(image_size=64, width=2), 5).eval()
    evaluator.head.bias.zero_()
    edited = []
    networks.evaluate()
    for image, labels in zip(to_float(fixed.images), fixed.labels, strict=True):
        values = labels[None] - 0.5
        values[:, GLASSES] *= -2
        edited.append(networks.generator(image[None], values))
    # Its threshold amid the faces, so that neither all nor none of them show glasses.
    logits = torch.cat([evaluator(face)[:, GLASSES] for face in edited])
    evaluator.head.bias[GLASSES] = -logits.mean()
    seen = logits > logits.mean()
    expected = (seen != fixed.labels[:, GLASSES].bool()).float().mean().item()
    numbers = validate(networks, fixed, WEIGHTS, "wgan", evaluator)
    assert numbers["edited_accuracy"] == pytest.approx(expected)
    assert numbers["quality"] == pytest.approx(numbers["ssim"] * expected)
    without = validate(networks, fixed, WEIGHTS, "wgan")
    assert without.keys() == numbers.keys()
    of_edits = {"edited_accuracy", "quality"}
    assert {name: without[name] for name in without.keys() - of_edits} == {
        name: numbers[name] for name in numbers.keys() - of_edits
    }
    assert not of_edits & validate(networks, fixed, WEIGHTS, "wgan", edits=False).keys()


def test_an_alignment_measures_the_discriminator_alone(small_faces: Faces) -> None:
    networks = copy_to_device(
        small_generator(), small_discriminator(), small_config(), "cpu", train_generator=False
    )
    numbers = validate(networks, held(small_faces, "permutation", None), WEIGHTS, "wgan")
    assert not networks.generator.training
    assert set(numbers) == {
        "discriminator_loss",
        "critic",
        "classification",
        "classifier_accuracy",
        "real_accuracy",
        "fake_accuracy",
        "critic_accuracy",
    }
