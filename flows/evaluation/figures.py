"""Compute the figures of an evaluation from its measured faces, for all faces and for groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from attgan.evaluation.face_traits import TONES, TURNED
from attgan.evaluation.intervals import Figure, mean_figure, ratio_figure
from attgan.evaluation.realism import matching_weights, realism
from flows.evaluation.measure import Look, MeasuredFace, Picture

Figures = dict[str, Figure | None]

_PICTURES: tuple[Picture, ...] = ("result", "unedited", "renderer")


def group_figures(faces: Sequence[MeasuredFace], seed: int) -> dict[str, Figures]:
    """The figures of every group with at least one bare face, by the group's name.

    Args:
        faces: measured, bare ones and wearers.
        seed: of the bootstrap.
    """
    found = {}
    for name, holds in _groups(faces).items():
        group = [face for face in faces if holds(face)]
        if any(not face.listed.wears for face in group):
            found[name] = figures(group, seed)
    return found


def figures(faces: Sequence[MeasuredFace], seed: int) -> Figures:
    """The figures of one group, each with its interval; None if no face can be measured for it.

    Args:
        faces: of the group, bare ones and wearers. Wearers are the reference for real glasses. For sharpness and
            realism the bare faces are weighted so that set, sex, age and pose, as far as they are known, are
            distributed as among the wearers.
        seed: of the bootstrap.
    """
    bare = [face for face in faces if not face.listed.wears]
    wearers = [face for face in faces if face.listed.wears]
    edited = [face for face in bare if face.edited]
    original = [face.looks["original"] for face in wearers]
    result: Figures = {
        "edited": mean_figure([face.edited for face in bare], "edited", seed),
        "wearers_edited": mean_figure([face.edited for face in wearers], "wearers edited", seed),
        "seen_original": _seen(bare, "original", seed),
        "seen_wearers": mean_figure([look.glasses for look in original], "seen wearers", seed),
        "sharpness_original": _sharpness(bare, wearers, "original", seed),
        "changed_inside": mean_figure([face.inside or 0.0 for face in edited], "inside", seed),
        "changed_outside": mean_figure([bool(face.outside) for face in edited], "outside", seed),
        "largest_outside": _largest([face.outside or 0 for face in edited]),
    }
    for picture in _PICTURES:
        result[f"seen_{picture}"] = _seen(bare, picture, seed)
        result[f"sharpness_{picture}"] = _sharpness(bare, wearers, picture, seed)
        result |= _realism(bare, wearers, picture, seed)
    return result


def _largest(values: Sequence[int]) -> Figure | None:
    """The largest value; a maximum has no interval."""
    if not values:
        return None
    largest = float(max(values))
    return Figure(largest, largest, largest, len(values))


def _looks(faces: Sequence[MeasuredFace], picture: Picture) -> tuple[list[MeasuredFace], list[Look]]:
    """The faces that have this picture, and what was measured of it."""
    there = [face for face in faces if picture in face.looks]
    return there, [face.looks[picture] for face in there]


def _seen(bare: Sequence[MeasuredFace], picture: Picture, seed: int) -> Figure | None:
    return mean_figure([look.glasses for look in _looks(bare, picture)[1]], "seen", picture, seed)


def _sharpness(
    bare: Sequence[MeasuredFace], wearers: Sequence[MeasuredFace], picture: Picture, seed: int
) -> Figure | None:
    there, looks = _looks(bare, picture)
    weights, wearer_weights = matching_weights(_cells(there), _cells(wearers))
    return ratio_figure(
        [look.sharpness for look in looks],
        [face.looks["original"].sharpness for face in wearers],
        "sharpness",
        picture,
        seed,
        weights_above=weights,
        weights_below=wearer_weights,
    )


def _realism(
    bare: Sequence[MeasuredFace], wearers: Sequence[MeasuredFace], picture: Picture, seed: int
) -> Figures:
    there, looks = _looks(bare, picture)
    names = ("relative", "kid", "best", "worst")
    nothing: Figures = {f"{name}_{picture}": None for name in names}
    if not there or not wearers or looks[0].features is None:
        return nothing
    weights, wearer_weights = matching_weights(_cells(there), _cells(wearers))
    found = realism(
        _features(looks),
        _features([face.looks["original"] for face in there]),
        _features([face.looks["original"] for face in wearers]),
        "realism",
        seed,
        weights=weights,
        wearer_weights=wearer_weights,
    )
    return nothing if found is None else {f"{name}_{picture}": getattr(found, name) for name in names}


def _features(looks: Sequence[Look]) -> np.ndarray:
    return np.stack([look.features for look in looks if look.features is not None])


def _cells(faces: Sequence[MeasuredFace]) -> list[Hashable]:
    """The cell of each face: the traits that are balanced between bare faces and wearers. Unknown is a value, too."""
    return [
        (
            face.listed.set,
            face.listed.male,
            face.listed.young,
            None if face.yaw is None else abs(face.yaw) > TURNED,
        )
        for face in faces
    ]


def _groups(faces: Sequence[MeasuredFace]) -> dict[str, Callable[[MeasuredFace], bool]]:
    """The members of each group. Grey copies of coloured faces only count in their own set and in the group grey."""

    def real(holds: Callable[[MeasuredFace], bool]) -> Callable[[MeasuredFace], bool]:
        return lambda face: not face.listed.copy and holds(face)

    def of_set(name: str) -> Callable[[MeasuredFace], bool]:
        return lambda face: face.listed.set == name

    def of_tone(tone: str) -> Callable[[MeasuredFace], bool]:
        return real(lambda face: face.tone == tone)

    groups = {"all": real(lambda face: True)}
    groups |= {f"set {name}": of_set(name) for name in dict.fromkeys(face.listed.set for face in faces)}
    groups |= {
        "frontal": real(lambda face: face.yaw is not None and abs(face.yaw) <= TURNED),
        "turned": real(lambda face: face.yaw is not None and abs(face.yaw) > TURNED),
        "coloured": real(lambda face: not face.grey),
        "grey": lambda face: face.grey,
    }
    groups |= {f"tone {tone}": of_tone(tone) for tone in TONES}
    groups |= {
        "male": real(lambda face: face.listed.male is True),
        "female": real(lambda face: face.listed.male is False),
        "young": real(lambda face: face.listed.young is True),
        "older": real(lambda face: face.listed.young is False),
    }
    return groups
