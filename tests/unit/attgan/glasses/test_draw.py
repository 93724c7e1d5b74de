import itertools

import numpy as np
import pytest

from attgan.glasses import STYLES, draw_glasses
from attgan.glasses.styles import THICK

SHAPES = STYLES[:6]


def drawn(count, styles=None, seed=0):
    rng = np.random.default_rng(seed)
    return [draw_glasses(rng, styles) for _ in range(count)]


@pytest.mark.parametrize("style", STYLES)
def test_a_style_asked_for_is_drawn(style):
    for pair in drawn(50, {style}):
        assert pair.flags[STYLES.index(style)] == 1


def test_flags_say_what_the_pair_is():
    for pair in drawn(400):
        flags = dict(zip(STYLES, pair.flags, strict=True))
        assert pair.flags.dtype == np.float32
        assert [name for name in SHAPES if flags[name]] == [pair.shape]
        assert flags["Half_Rim"] == (pair.mount == "half")
        assert flags["Rimless"] == (pair.mount == "none")
        assert flags["Metal"] == (pair.material == "metal" and pair.mount != "none")
        assert flags["Sunglasses"] == (max(pair.upper_tint) < 0.75)
        assert flags["Light_Frame"] == pair.light_frame
        if pair.mount != "none":
            assert flags["Thick_Rim"] == (pair.thickness >= THICK)


def test_pairs_are_as_often_as_people_wear_them():
    flags = np.mean([pair.flags for pair in drawn(4000)], 0)
    shares = dict(zip(STYLES, flags, strict=True))
    assert 0.07 < shares["Sunglasses"] < 0.13
    assert min(shares.values()) > 0.04
    assert max(shares.values()) < 0.55


def test_some_styles_go_together_and_some_do_not():
    possible = set()
    for pair in itertools.combinations(STYLES, 2):
        try:
            assert draw_glasses(np.random.default_rng(0), pair).styles >= set(pair)
            possible.add(pair)
        except ValueError:
            pass
    assert ("Round", "Metal") in possible
    assert ("Aviator", "Sunglasses") in possible
    assert ("Round", "Oval") not in possible
    assert ("Half_Rim", "Rimless") not in possible


def test_an_unknown_style_is_named():
    with pytest.raises(ValueError, match="Monocle"):
        draw_glasses(np.random.default_rng(0), {"Monocle"})
