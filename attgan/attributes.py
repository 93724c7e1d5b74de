"""Face attributes: CelebA's names, edits of them, and the generator's attribute vectors.

Labels are 0 or 1, or NaN where unknown. In a vector a label a becomes ``(2a - 1) * 0.5``, that is ±0.5, and an unknown
label 0.0, midway between the two. An edited attribute becomes ``(2a - 1) * intensity``.

Source: CelebA (Liu et al., 2015), AttGAN (He et al., 2017).
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attgan.errors import UserError

CELEBA: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips",
    "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby",
    "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male",
    "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose",
    "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair",
    "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""CelebA's 40 attributes in the order of its annotation file."""

PUBLISHED: tuple[str, ...] = (
    "Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male",
    "Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young",
)  # fmt: skip
"""The 13 attributes of the published AttGAN weights, in the order of their vectors."""

STYLES: tuple[str, ...] = (
    "Round", "Oval", "Rectangle", "Wayfarer", "Cat_Eye", "Aviator",
    "Half_Rim", "Rimless", "Thick_Rim", "Metal", "Light_Frame", "Sunglasses",
)  # fmt: skip
"""Styles of glasses. (CelebA has no labels for them.) The first six are shapes: a pair of glasses has exactly one."""

SHAPES = STYLES[:6]

# Where a face's attributes before an edit come from. ``unsure``: the classifier could not decide about one to set.
AttributesFrom = Literal["labels", "classifier", "unsure", "unknown"]

DEFAULT_STYLE: tuple[str, ...] = ("Wayfarer",)
"""The style if none is requested: dark acetate, which suits most faces."""

INCOMPATIBLE_STYLES: frozenset[frozenset[str]] = frozenset(
    map(
        frozenset,
        [
            *(
                ("Rimless", other)
                for other in ("Half_Rim", "Thick_Rim", "Metal", "Light_Frame", "Wayfarer", "Aviator")
            ),
            *(("Half_Rim", other) for other in ("Thick_Rim", "Light_Frame", "Aviator")),
            *(("Metal", other) for other in ("Thick_Rim", "Light_Frame")),
            ("Aviator", "Thick_Rim"),
        ],
    )
)
"""Pairs of styles that exclude each other. ("Metal" means a metal rim, so it excludes "Rimless".)"""

LABEL_SCALE = 0.5
MAX_INTENSITY = 10.0

# Each line is a group of sides that exclude each other. Attributes of the same side can occur together.
_SIDES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("Bald", "Receding_Hairline"), ("Bangs",)),
    (("Black_Hair",), ("Blond_Hair",), ("Brown_Hair",), ("Gray_Hair",)),
    (("Straight_Hair",), ("Wavy_Hair",)),
    (("Mustache",), ("No_Beard",)),
)

EXCLUSIVE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        name: frozenset(rival for other in sides if other is not side for rival in other)
        for sides in _SIDES
        for side in sides
        for name in side
    }
)
"""For each attribute, those that an edit clears when it sets it. Real labels that contradict each other are kept."""

_EDIT = re.compile(r"(?P<name>[^=@]+)=(?P<value>[01])(?:@(?P<intensity>[^=@]+))?")


@dataclass(frozen=True, slots=True)
class Edit:
    """One attribute to set (``value`` true) or to remove, and how strongly: 1.0 gives ±1.0."""

    attribute: str
    value: bool
    intensity: float = 1.0

    def __str__(self) -> str:
        return f"{self.attribute}={int(self.value)}@{self.intensity}"


def parse_edits(
    texts: Iterable[str],
    intensity: float = 1.0,
    names: Sequence[str] = PUBLISHED,
    option: str = "--set",
) -> tuple[Edit, ...]:
    """Read edits written as ``NAME=0``, ``NAME=1`` or ``NAME=1@INTENSITY``.

    Args:
        texts: one edit each.
        intensity: of the edits without one of their own, above 0 and at most 10.
        names: the attributes of the model.
        option: the option's name in refusals.

    Raises:
        UserError: an edit is not of this form, names an attribute that the model does not have, is repeated, or
            contradicts another one.
    """
    check_intensity(intensity, f"--intensity {intensity:g}")
    edits: list[Edit] = []
    for text in texts:
        edit = _parse_edit(text, intensity, names, f"{option} {text}")
        for earlier in edits:
            _refuse_conflict(earlier, edit, f"{option} {text}")
        edits.append(edit)
    return tuple(edits)


def check_names(names: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuse the first name that is not among the known ones, and offer the nearest.

    Raises:
        UserError: the line starts with ``where``.
    """
    for name in names:
        if name not in known:
            folded = {candidate.casefold(): candidate for candidate in known}
            near = get_close_matches(name.strip().casefold(), folded, n=3)
            offer = "did you mean " + " or ".join(folded[key] for key in near) + "?" if near else ""
            raise UserError(
                "attribute-unknown",
                f"{where}: there is no attribute {name!r}; {offer or 'one of ' + ', '.join(known)}",
            )


def check_intensity(intensity: float, where: str) -> None:
    """Refuse an intensity outside 0 (excluded) to 10.

    Raises:
        UserError: the line starts with ``where``.
    """
    if not (math.isfinite(intensity) and 0 < intensity <= MAX_INTENSITY):
        raise UserError(
            "setting-invalid", f"{where}: an intensity is a number above 0 and at most {MAX_INTENSITY:g}"
        )


def label_vector(labels: ArrayLike) -> NDArray[np.float32]:
    """Network values of labels: 0 → -0.5, 1 → +0.5, NaN (unknown) → 0.0.

    Args:
        labels: (..., n), numbers or bools.

    Returns:
        (..., n) float32, a new array.

    Raises:
        ValueError: a label is not 0, 1 or NaN.
    """
    known = _checked(labels)
    return np.nan_to_num((2.0 * known - 1.0) * LABEL_SCALE, copy=False, nan=0.0).astype(np.float32)


def target_labels(
    labels: ArrayLike, edits: Sequence[Edit], names: Sequence[str] = PUBLISHED
) -> NDArray[np.float32]:
    """Labels after the edits; an edit that *sets* an attribute also clears those it excludes.

    An attribute that has an edit of its own is never cleared by another one's.

    Args:
        labels: (..., n), 0, 1 or NaN, in the order of ``names``.
        edits: at most one for each attribute, as :func:`parse_edits` returns them.
        names: the n attributes.

    Returns:
        (..., n) float32, 0, 1 or NaN, a new array.

    Raises:
        ValueError: the number of labels is wrong, a label is not 0, 1 or NaN, or an edit's attribute is not
            among ``names``.
    """
    target = _checked(labels)
    if target.shape[-1:] != (len(names),):
        raise ValueError(f"labels of shape {target.shape} for {len(names)} attributes")
    for edit in edits:
        if edit.value:
            rivals = EXCLUSIVE.get(edit.attribute, frozenset())
            target[..., [index for index, name in enumerate(names) if name in rivals]] = 0.0
    for edit in edits:
        target[..., _index(edit, names)] = float(edit.value)
    return target


def target_vector(
    labels: ArrayLike, edits: Sequence[Edit], names: Sequence[str] = PUBLISHED
) -> NDArray[np.float32]:
    """Network values of the edited faces: :func:`target_labels` as ±0.5, the edited ones as ±intensity.

    Args and errors as in :func:`target_labels`.

    Returns:
        (..., n) float32, a new array.
    """
    vector = label_vector(target_labels(labels, edits, names))
    for edit in edits:
        vector[..., _index(edit, names)] = edit.intensity if edit.value else -edit.intensity
    return vector


def unedited_vector(
    labels: ArrayLike, edits: Sequence[Edit], names: Sequence[str] = PUBLISHED
) -> NDArray[np.float32]:
    """Network values of the faces without the edits: their own labels, and the opposite of each edit.

    So the edit also shows in a face that has the attribute already, or whose label is unknown.

    Args and errors as in :func:`target_labels`.

    Returns:
        (..., n) float32, a new array.
    """
    opposite = _checked(labels)
    for edit in edits:
        opposite[..., _index(edit, names)] = float(not edit.value)
    return label_vector(opposite)


def have_already(
    labels: ArrayLike, edits: Sequence[Edit], names: Sequence[str] = PUBLISHED
) -> NDArray[np.bool_]:
    """Which of the faces have all the requested attributes already; an unknown label counts as not having it.

    Args and errors as in :func:`target_labels`.

    Returns:
        (...) bool.
    """
    columns = [_index(edit, names) for edit in edits]
    wanted = np.array([edit.value for edit in edits], dtype=np.float32)
    present: NDArray[np.bool_] = (_checked(labels)[..., columns] == wanted).all(-1)
    return present


def _checked(labels: ArrayLike) -> NDArray[np.float32]:
    copy = np.array(labels, dtype=np.float32)
    wrong = ~(np.isnan(copy) | (copy == 0) | (copy == 1))
    if wrong.any():
        raise ValueError(f"a label is 0, 1 or NaN (unknown), not {copy[wrong][0]:g}")
    return copy


def _index(edit: Edit, names: Sequence[str]) -> int:
    if edit.attribute not in names:
        raise ValueError(f"{edit}: {edit.attribute} is not among {', '.join(names)}")
    return names.index(edit.attribute)


def _parse_edit(text: str, intensity: float, names: Sequence[str], where: str) -> Edit:
    match = _EDIT.fullmatch(text.strip())
    if match is None:
        raise UserError("edit-syntax", f"{where}: write NAME=1 or NAME=0, or with an intensity NAME=1@0.8")
    check_names([match["name"]], names, where)
    if match["intensity"] is not None:
        try:
            intensity = float(match["intensity"])
        except ValueError:
            intensity = math.nan
        check_intensity(intensity, where)
    return Edit(match["name"], match["value"] == "1", intensity)


def _refuse_conflict(earlier: Edit, edit: Edit, where: str) -> None:
    if edit.attribute == earlier.attribute:
        raise UserError("edit-repeated", f"{where}: {edit.attribute} is given twice, before as {earlier}")
    if edit.value and earlier.value and earlier.attribute in EXCLUSIVE.get(edit.attribute, frozenset()):
        raise UserError(
            "edit-conflict",
            f"{where}: {edit.attribute} and {earlier.attribute} exclude each other; set only one of them",
        )
