"""Which way of bringing an edit onto a photograph comes nearest to glasses that are really worn there.

A generator redraws faces softly. Here a blur stands for it: the blurred face is the unedited output, and glasses
rendered onto the blurred face are the edited one. Each form of compositing then brings the change onto the sharp face;
what it should come to is the same pair rendered onto the sharp face itself.

    python -m tests.benchmarks.compositing
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image, ImageFilter

from attgan.detection.mtcnn import make_mtcnn
from attgan.editing.compositing import composite, edit_mask
from attgan.editing.placement import placement_of, take_face
from attgan.glasses import put_on
from attgan.glasses.designs import DESIGNS, design_of, rng_of
from flows.demo.edit_demo import PHOTOGRAPHS
from flows.runtime.terminal import print_rows

SIZE = 128
BLURS = (0.7, 1.5, 3.0)
# From this many levels on a pixel belongs to the glasses.
GLASSES = 12

Form = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def added(
    face: torch.Tensor, edited: torch.Tensor, unedited: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    return (face + (edited - unedited) * mask).clamp(0, 1)


def multiplied(
    face: torch.Tensor, edited: torch.Tensor, unedited: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    ratio = (edited + 4 / 255) / (unedited + 4 / 255)
    return (face * (1 + (ratio - 1) * mask)).clamp(0, 1)


def replaced(
    face: torch.Tensor, edited: torch.Tensor, unedited: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    return face + (edited - face) * mask


FORMS: dict[str, Form] = {
    "relative change (in use)": composite,
    "difference added": added,
    "ratio multiplied": multiplied,
    "edited output pasted": replaced,
}


def bare_faces() -> Iterator[np.ndarray]:
    """``(S, S, 3)`` uint8: the largest face of each shipped photograph of somebody without glasses."""
    detector = make_mtcnn("cpu", min_face=60)
    with (PHOTOGRAPHS / "photographs.tsv").open() as table:
        names = [row["file"] for row in csv.DictReader(table, delimiter="\t") if row["eyeglasses"] == "0"]
    for name in names:
        pixels = np.asarray(Image.open(PHOTOGRAPHS / name).convert("RGB"))
        if found := detector.find([pixels])[0]:
            yield take_face(pixels, placement_of(max(found, key=lambda face: face.size)), SIZE)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def main() -> None:
    mask = edit_mask(SIZE)
    inside = (mask > 0).numpy()
    detector = make_mtcnn("cpu", min_face=SIZE / 4)
    random = np.random.default_rng(0)
    off: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for face in bare_faces():
        found = detector.find([face])[0]
        if not found:
            continue
        styles = DESIGNS[random.integers(len(DESIGNS))]
        wear = lambda pixels: put_on(pixels, found[0].landmarks, design_of(styles), rng_of(styles))  # noqa: E731, B023
        wanted = wear(face).astype(float)
        glasses = (np.abs(wanted - face).max(-1) > GLASSES) & inside
        for blur in BLURS:
            soft = np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(blur)))
            for name, form in FORMS.items():
                made = form(tensor(face), tensor(wear(soft)), tensor(soft), mask)[0].permute(1, 2, 0).numpy()
                error = np.abs(made * 255 - wanted).mean(-1)
                off.setdefault((name, blur), []).append(
                    (error[glasses].mean(), error[inside & ~glasses].mean())
                )
    rows = [
        {
            "form": name,
            "blur, px": blur,
            "faces": len(errors),
            "levels off on the glasses": f"{np.mean([error for error, _ in errors]):.1f}",
            "levels off beside them": f"{np.mean([error for _, error in errors]):.2f}",
        }
        for (name, blur), errors in sorted(off.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
    print_rows("Composites beside the same glasses rendered onto the sharp face", rows)


if __name__ == "__main__":
    main()
