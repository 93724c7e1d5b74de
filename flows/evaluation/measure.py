"""Measure faces, unedited and as the edit flow's functions return them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

from attgan.data import codec
from attgan.data.codec import Decoded, Limits
from attgan.data.loading.order import random_keys
from attgan.detection import FaceDetector
from attgan.editing.change import change_of, mask_of
from attgan.editing.editor import Editor
from attgan.editing.photographs import Photograph, edit_photographs, put_back
from attgan.editing.placement import Placement, put_change, take_face
from attgan.errors import DataError
from attgan.evaluation.eye_region import SHARPNESS_SIZE, changes, mask_in_photograph, sharpness
from attgan.evaluation.face_traits import Tone, is_grey, tone_of, yaw_of
from attgan.evaluation.tflite import SIZE, EyeNetwork
from flows.dataset.face_tables import ListedFace
from flows.edit.job import EditJob

Picture = Literal["original", "result", "unedited", "renderer"]
Pixels = np.ndarray


class GlassesEvaluator(Protocol):
    """Predicts whether faces wear glasses."""

    @property
    def size(self) -> int:
        """Side of the square faces that it takes."""

    def sees(self, faces: np.ndarray) -> np.ndarray:
        """``(N, size, size, 3)`` uint8 → ``(N,)`` bool."""


@dataclass(frozen=True)
class Tools:
    """What faces are edited and measured with.

    Attributes:
        job: an edit, of which no run is made.
        editor: its model.
        detector: of faces.
        evaluator: of glasses.
        network: computes the features in which realism is measured; None if realism is not measured.
        renderer: whether to measure rendered glasses on the bare faces, too.
        seed: of the rendered glasses.
    """

    job: EditJob
    editor: Editor
    detector: FaceDetector
    evaluator: GlassesEvaluator
    network: EyeNetwork | None
    renderer: bool
    seed: int


@dataclass
class Look:
    """What is measured of one picture of a face.

    Attributes:
        glasses: whether the evaluator sees glasses.
        sharpness: of the eye region.
        features: ``(d,)``; None without a network.
    """

    glasses: bool
    sharpness: float
    features: np.ndarray | None


@dataclass
class MeasuredFace:
    """A face and its measurements.

    Attributes:
        listed: its row of the table.
        grey: from the table, or else from the pixels.
        yaw: degrees; None if the landmarks were not found.
        tone: of the skin; None for a grey face.
        edited: whether the edit flow edits it. A face that it recognises as a wearer is not edited.
        inside: for an edited face, the share of the pixels inside the edit mask that changed.
        outside: for an edited face, the largest difference outside the mask, in grey levels.
        looks: the measurements of each of its pictures.
        before, after: the pictures, if they are kept for a page.
    """

    listed: ListedFace
    grey: bool
    yaw: float | None
    tone: Tone | None
    edited: bool
    inside: float | None = None
    outside: int | None = None
    looks: dict[Picture, Look] = field(default_factory=dict)
    before: Pixels | None = None
    after: Pixels | None = None


@dataclass(frozen=True)
class Failure:
    """A face that could not be measured, and why."""

    listed: ListedFace
    reason: str


def measure(
    faces: Sequence[tuple[ListedFace, bytes | None]], tools: Tools, limits: Limits, *, grey_copies: bool
) -> tuple[list[MeasuredFace], list[Failure]]:
    """Edit and measure some faces.

    Wearers are edited as well, as in a folder of photographs, because the report counts how many are left alone.

    Args:
        faces: with the bytes of their images.
        tools: to edit and measure with.
        limits: of an image's size.
        grey_copies: whether to measure a grey copy of each coloured face, too.
    """
    read: list[tuple[ListedFace, Photograph]] = []
    failures: list[Failure] = []
    for listed, data in faces:
        try:
            if data is None:
                raise DataError("fetch", "there is no image")
            image = codec.decode(data, limits)
        except DataError as error:
            failures.append(Failure(listed, str(error)))
            continue
        read.append((listed, Photograph(image, listed.name)))
        if grey_copies and not _grey(listed, image):
            copy = replace(listed, set=f"{listed.set}, greyed", grey=True, copy=True)
            read.append((copy, Photograph(_greyed(image), listed.name)))
    photographs = [photograph for _, photograph in read]
    edit_photographs(photographs, tools.editor, tools.detector, tools.job.options)
    measured = []
    for listed, photograph in read:
        if photograph.problem is not None:
            failures.append(Failure(listed, str(photograph.problem)))
        else:
            measured.append(_measured(listed, photograph, tools))
    return measured, failures


def _grey(listed: ListedFace, image: Decoded) -> bool:
    return is_grey(image.pixels) if listed.grey is None else listed.grey


def _greyed(image: Decoded) -> Decoded:
    luma = np.rint(image.pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return replace(image, pixels=np.repeat(luma[..., None], 3, axis=2), grey=True)


def _measured(listed: ListedFace, photograph: Photograph, tools: Tools) -> MeasuredFace:
    image, face = photograph.image, photograph.faces[0]
    before, placement = image.pixels, face.placement
    landmarks = _landmarks(photograph, tools.detector)
    grey = _grey(listed, image)
    result = MeasuredFace(
        listed,
        grey,
        None if landmarks is None else yaw_of(landmarks),
        None if grey else tone_of(take_face(before, placement, SIZE)),
        edited=face.edited is not None,
    )
    result.looks["original"] = _look(before, placement, tools)
    if listed.wears:
        return result
    generator = tools.editor.generator.config
    after = put_back(photograph, generator, tools.job.options, in_place=False).pixels
    result.before, result.after = before, after
    result.looks["result"] = _look(after, placement, tools)
    if face.edited is not None:
        mask = mask_of(generator, tools.job.edits)
        assert mask is not None
        inside = _masked(before, placement, mask)
        # A photograph may have further faces, which are edited, too.
        others = [
            _masked(before, other.placement, mask)
            for other in photograph.faces[1:]
            if other.edited is not None
        ]
        allowed = np.logical_or.reduce([inside, *others])
        result.inside, result.outside = changes(before, after, inside, allowed)
    if face.reconstructed is not None:
        # The generator's reconstruction without any edit, put back in the same way as an edit.
        unedited = before.copy()
        put_change(
            unedited,
            placement,
            change_of(generator, tools.job.edits, face.reconstructed, face.pixels, placement.side),
        )
        result.looks["unedited"] = _look(unedited, placement, tools)
    if tools.renderer and landmarks is not None:
        result.looks["renderer"] = _look(_drawn(listed, before, landmarks, tools.seed), placement, tools)
    return result


def _masked(pixels: Pixels, placement: Placement, mask: Tensor) -> np.ndarray:
    return mask_in_photograph(placement.matrix, pixels.shape[0], pixels.shape[1], mask.numpy())


def _landmarks(photograph: Photograph, detector: FaceDetector) -> np.ndarray | None:
    """The five landmarks of the measured face, ``(5, 2)`` in the image's pixels; None if no face is found."""
    if (face := photograph.faces[0].found) is not None:
        # As a ledger has them.
        return np.reshape([round(value, 2) for value in face.landmarks.ravel().tolist()], (5, 2))
    found = detector.find([photograph.image.pixels])[0]
    return max(found, key=lambda face: face.size).landmarks if found else None


def _drawn(listed: ListedFace, before: Pixels, landmarks: np.ndarray, seed: int) -> Pixels:
    # Imported only here, because nothing else in editing or evaluation needs the renderer.
    from attgan.glasses import put_on, sample_glasses

    rng = np.random.default_rng(random_keys(4, "evaluation glasses", seed, listed.set, listed.name))
    return put_on(before, landmarks, sample_glasses(rng), rng)


def _look(pixels: Pixels, placement: Placement, tools: Tools) -> Look:
    features = None
    if tools.network is not None:
        features = tools.network.look(take_face(pixels, placement, SIZE)[None])[1][0]
    seen = tools.evaluator.sees(take_face(pixels, placement, tools.evaluator.size)[None])
    return Look(bool(seen[0]), sharpness(take_face(pixels, placement, SHARPNESS_SIZE)), features)
