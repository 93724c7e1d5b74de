"""Which glasses a face is given: names in, the generator's style vector out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from attgan.attributes import INCOMPATIBLE_STYLES, LABEL_SCALE, SHAPES, Edit
from attgan.errors import UserError

MIXED = "mixed"
"""The name that asks for a random style for each face."""

_USUAL_SHAPES = ("Wayfarer", "Rectangle")

# What "mixed" chooses from: each name as often as any other, beside a shape that it is worn with.
_MIXTURE: tuple[tuple[str, ...], ...] = (
    ("Round",), ("Oval",), ("Rectangle",), ("Wayfarer",), ("Cat_Eye",), ("Aviator", "Metal"),
    ("Rectangle", "Half_Rim"), ("Oval", "Rimless"), ("Wayfarer", "Thick_Rim"), ("Round", "Metal"),
    ("Cat_Eye", "Light_Frame"), ("Aviator", "Sunglasses"),
)  # fmt: skip


def check_styles(styles: Sequence[str], known: Sequence[str], where: str) -> None:
    """Refuse names that a generator does not know, and two shapes at once.

    Args:
        styles: as the user wrote them, in any case.
        known: the generator's names.
        where: what the refusal starts with.

    Raises:
        UserError: naming the first wrong name, and the known ones.
    """
    if not known:
        if styles:
            raise UserError(
                "styles-unsupported",
                f"{where}: the bundle has no styles; leave the option out, or take another bundle",
            )
        return
    names = {name.casefold(): name for name in known}
    for style in styles:
        if style.casefold() not in names and style != MIXED:
            raise UserError(
                "style-unknown", f"{where}: there is no style {style!r}; one of {', '.join((MIXED, *names))}"
            )
    if MIXED in styles and len(styles) > 1:
        raise UserError("style-conflict", f"{where}: {MIXED} draws a style for each face, and stands alone")
    chosen = [names[style.casefold()] for style in styles if style != MIXED]
    for one, other in itertools.combinations(chosen, 2):
        if frozenset((one, other)) in INCOMPATIBLE_STYLES:
            raise UserError("style-conflict", f"{where}: no glasses are both {one} and {other}")
    shapes = [style for style in chosen if style in SHAPES]
    if len(shapes) > 1:
        raise UserError(
            "style-conflict",
            f"{where}: {' and '.join(shapes)} are shapes, of which a pair of glasses has one",
        )


def mixed_style(key: str, face: int) -> tuple[str, ...]:
    """The style of one face of one image where styles are mixed: always the same for the same key and face."""
    digest = hashlib.sha256(f"{key}/{face}".encode()).digest()
    return _MIXTURE[int.from_bytes(digest[:8], "big") % len(_MIXTURE)]


def adds_glasses(edits: Iterable[Edit]) -> bool:
    """Whether one of the edits puts glasses on, so that their style matters."""
    return any(edit.attribute == "Eyeglasses" and edit.value for edit in edits)


def style_of_face(asked: Sequence[str], key: str, face: int) -> Sequence[str]:
    """The style of one face of one image: the one that was asked for, or one of the mixture."""
    return mixed_style(key, face) if MIXED in asked else asked


def style_vector(styles: Sequence[str], known: Sequence[str]) -> NDArray[np.float32]:
    """The generator's input for a style.

    Args:
        styles: names, in any case.
        known: the generator's k names.

    Returns:
        ``(k,)``: 0.5 for the given names and -0.5 for the others. If no shape is given, a usual one is added that goes
        with the given names.
    """
    names = {name.casefold(): name for name in known}
    wanted = [names[style.casefold()] for style in styles]
    if not any(name in SHAPES for name in wanted):
        fitting = (shape for shape in _USUAL_SHAPES if shape in known and not _clash(shape, wanted))
        wanted.append(next(fitting))
    return np.where([name in wanted for name in known], LABEL_SCALE, -LABEL_SCALE).astype(np.float32)


def _clash(name: str, others: Sequence[str]) -> bool:
    return any(frozenset((name, other)) in INCOMPATIBLE_STYLES for other in others)
