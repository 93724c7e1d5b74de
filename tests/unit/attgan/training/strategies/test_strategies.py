"""Each strategy's batches against its definition, and what the networks are fed for them."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attgan.training.strategies import STRATEGIES, network_values

fixed = settings(derandomize=True, deadline=None, max_examples=40)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Labels (N, n) and the column of the target attribute."""
    count, n = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=count, max_size=count))
    return torch.tensor(rows, dtype=torch.float32), draw(st.integers(0, n - 1))


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def without(labels: Tensor, attribute: int) -> list[list[float]]:
    return [[*row[:attribute], *row[attribute + 1 :]] for row in labels.tolist()]


@pytest.mark.parametrize(
    ("name", "source", "real"),
    [
        ("permutation", "all", "all"),
        ("inverse", "all", "all"),
        ("alternate", "without", "with"),
        ("paired", "without", "without"),
    ],
)
def test_each_says_who_sees_which_images(name: str, source: str, real: str) -> None:
    assert (STRATEGIES[name].source, STRATEGIES[name].real) == (source, real)


@given(batches(), st.integers(0, 99))
@fixed
def test_permutation_shuffles_whole_rows(batch: tuple[Tensor, int], seed: int) -> None:
    labels, attribute = batch
    targets = STRATEGIES["permutation"].targets(labels, attribute, random(seed))
    assert Counter(map(tuple, targets.tolist())) == Counter(map(tuple, labels.tolist()))


@given(batches(), st.integers(0, 99))
@fixed
def test_inverse_turns_round_the_target_attribute_alone(batch: tuple[Tensor, int], seed: int) -> None:
    labels, attribute = batch
    targets = STRATEGIES["inverse"].targets(labels, attribute, random(seed))
    assert (targets[:, attribute] + labels[:, attribute] == 1).all()
    assert without(targets, attribute) == without(labels, attribute)


@given(batches(), st.integers(0, 99))
@fixed
def test_alternate_sets_the_target_attribute_alone(batch: tuple[Tensor, int], seed: int) -> None:
    labels, attribute = batch
    # Its source stream has none with it.
    labels[:, attribute] = 0
    targets = STRATEGIES["alternate"].targets(labels, attribute, random(seed))
    assert (targets[:, attribute] == 1).all()
    assert without(targets, attribute) == without(labels, attribute)


@given(batches(), st.sampled_from(sorted(STRATEGIES)))
@fixed
def test_targets_are_new_repeatable_and_stay_labels(batch: tuple[Tensor, int], name: str) -> None:
    labels, attribute = batch
    before = labels.clone()
    targets = STRATEGIES[name].targets(labels, attribute, random(3))
    assert torch.equal(targets, STRATEGIES[name].targets(labels, attribute, random(3)))
    assert targets.shape == labels.shape
    assert targets.dtype == labels.dtype
    targets.fill_(7)
    assert torch.equal(labels, before)


def test_fixed_values_are_half_and_draw_nothing() -> None:
    generator = random(0)
    state = generator.get_state()
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert network_values(labels, "fixed", generator).tolist() == [[0.5, -0.5], [-0.5, 0.5]]
    assert torch.equal(generator.get_state(), state)


@given(batches(), st.sampled_from(["fixed", "uniform", "truncated_normal"]), st.integers(0, 99))
@fixed
def test_values_have_the_sign_of_their_label_and_a_size_up_to_1(
    batch: tuple[Tensor, int], distribution: str, seed: int
) -> None:
    labels, _ = batch
    values = network_values(labels, distribution, random(seed))
    assert values.dtype == torch.float32
    assert ((values * (2 * labels - 1) >= 0) & (values.abs() <= 1)).all()


def normal(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal"])
def test_sizes_follow_their_distribution(distribution: str) -> None:
    """Kolmogorov and Smirnov's distance to it; 1.63/√n is exceeded once in a hundred times by chance."""
    count = 20_000
    sizes = network_values(torch.ones(count, 1), distribution, random(11)).flatten().double().sort().values
    if distribution == "uniform":
        expected = sizes
    else:
        span = normal(2) - normal(-2)
        expected = torch.tensor([(normal(4 * size - 2) - normal(-2)) / span for size in sizes.tolist()])
    reached = torch.arange(1, count + 1) / count
    assert (expected - reached).abs().max() < 1.63 / math.sqrt(count)
