"""Text in pictures fits its width and holds no letter that the font would show as an empty box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attgan.evaluation.plots.lettering import font_of, legible, without_beginning, without_end, wrapped

FONT = font_of(12)
TEXT = st.text(alphabet="abcdefgh λ1=,", max_size=80)


@given(TEXT, st.integers(20, 200))
def test_what_is_shortened_fits(text: str, width: int) -> None:
    for shorten in (without_beginning, without_end):
        short = shorten(text, FONT, width)
        assert FONT.getlength(short) <= width or short == "…"
    assert without_beginning(text, FONT, 10_000) == without_end(text, FONT, 10_000) == text


@given(TEXT, st.integers(30, 200), st.integers(1, 5))
def test_lines_fit_and_hold_all_words_or_say_that_they_do_not(text: str, width: int, lines: int) -> None:
    found = wrapped(text, FONT, width, lines)
    assert 1 <= len(found) <= lines
    assert all(FONT.getlength(line) <= width for line in found)
    whole = " ".join(text.split())
    if not any(line.endswith("…") for line in found):
        assert " ".join(found) == whole
    assert whole.startswith(found[0].rstrip("…"))


@pytest.mark.parametrize("text", ["λ1 50", "SSIM × share", "a – b", "1 → 2"])
def test_letters_that_the_font_lacks_are_spelt(text: str) -> None:
    def shown(letter: str) -> bytes:
        return np.asarray(FONT.getmask(letter)).tobytes()

    missing = shown("\ue000")
    assert any(shown(letter) == missing for letter in text), "the font has learnt it"
    assert all(shown(letter) != missing for letter in legible(text) if letter != " ")
