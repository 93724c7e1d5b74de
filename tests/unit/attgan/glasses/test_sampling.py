"""Random glasses have the requested styles, in realistic shares."""

import itertools

import numpy as np

from attgan.glasses import STYLES, sample_glasses
from attgan.glasses.styles import THICK

SHAPES = STYLES[:6]


def sampled(count, styles=None, seed=0):
    rng = np.random.default_rng(seed)
    return [sample_glasses(rng, styles) for _ in range(count)]


def test_style_labels_describe_the_pair():
    for style in STYLES:
        assert all(pair.style_labels[STYLES.index(style)] for pair in sampled(20, {style}))
    for pair in sampled(400):
        labels = dict(zip(STYLES, pair.style_labels, strict=True))
        assert [name for name in SHAPES if labels[name]] == [pair.shape]
        assert labels["Half_Rim"] == (pair.mount == "half")
        assert labels["Rimless"] == (pair.mount == "none")
        assert labels["Metal"] == (pair.material == "metal" and pair.mount != "none")
        assert labels["Sunglasses"] == (max(pair.upper_tint) < 0.75)
        assert labels["Light_Frame"] == pair.light_frame
        if pair.mount != "none":
            assert labels["Thick_Rim"] == (pair.thickness >= THICK)


def test_styles_are_as_frequent_as_people_wear_them():
    labels = np.mean([pair.style_labels for pair in sampled(2000)], 0)
    shares = dict(zip(STYLES, labels, strict=True))
    assert 0.07 < shares["Sunglasses"] < 0.13
    assert min(shares.values()) > 0.04
    assert max(shares.values()) < 0.55


def test_some_styles_can_be_combined_and_some_cannot():
    possible = set()
    for pair in itertools.combinations(STYLES, 2):
        try:
            assert sample_glasses(np.random.default_rng(0), pair).styles >= set(pair)
            possible.add(pair)
        except ValueError:
            pass
    assert ("Round", "Metal") in possible
    assert ("Aviator", "Sunglasses") in possible
    assert ("Round", "Oval") not in possible
    assert ("Half_Rim", "Rimless") not in possible
