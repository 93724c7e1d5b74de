"""The face detector MTCNN: three networks propose, refine and verify boxes; each step drops most of them.

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks", 2016. Beyond the
paper, landmarks are located again in a crop that is turned upright by the first ones, and in its mirror image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from attgan.detection.candidates import Candidates, best_faces, best_rows, concatenate
from attgan.detection.cascade import OUTPUT_CROP, REFINEMENT_CROP, Cascade, load_cascade
from attgan.detection.crops import Photograph, open_photograph, take_crops
from attgan.detection.face import MIRRORED, Face
from attgan.detection.similarity import Matrix, apply, fit_similarity
from attgan.detection.windows import propose

# In pixels of the reduced photograph. Smaller faces have too little detail.
SMALLEST_FACE = 20.0
REFINEMENT_CONFIDENCE = 0.7
OUTPUT_CONFIDENCE = 0.7
OVERLAP = 0.7
# Photographs whose crops share passes of the networks. More of them would only need more memory.
PHOTOGRAPHS_PER_PASS = 32

# Where the landmarks of faces are, on average, in the crops that the output network sees, in shares of the side.
CANONICAL = np.array([[0.330, 0.385], [0.670, 0.385], [0.500, 0.606], [0.342, 0.759], [0.658, 0.759]])


@dataclass(frozen=True)
class Mtcnn:
    """A :class:`~attgan.detection.face.FaceDetector`, in float32 on every device.

    Attributes:
        cascade: in evaluation mode, on ``device``, channels last.
        device: where it runs.
        min_face: smallest box that has to be found, in pixels of the photograph. The time grows with its inverse
            square.
        longest_side: larger photographs are reduced to it first; their smallest faces have 20 pixels after that.
        relocations: how often landmarks are located again.
        chunk: crops per pass of the output network; the refinement network takes four times as many. A smaller rest is
            padded: another number can select other kernels, which give other bits.
    """

    cascade: Cascade
    device: torch.device
    min_face: float = 40.0
    longest_side: int = 1280
    relocations: int = 2
    chunk: int = 16

    @torch.inference_mode()
    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """See :class:`~attgan.detection.face.FaceDetector`."""
        found: list[list[Face]] = []
        for start in range(0, len(images), PHOTOGRAPHS_PER_PASS):
            found += self._find(images[start : start + PHOTOGRAPHS_PER_PASS])
        return found

    def _find(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        photographs = [open_photograph(image, self.longest_side, self.device) for image in images]
        proposed = concatenate(
            [
                propose(self.cascade.proposal, photograph, self._smallest(photograph, image), index)
                for index, (photograph, image) in enumerate(zip(photographs, images, strict=True))
            ]
        )
        faces, landmarks = self._locate(photographs, self._refine(photographs, proposed))
        for _ in range(self.relocations):
            landmarks = self._relocate(photographs, faces.image, landmarks)
        return [
            _faces(faces.take(rows), landmarks[rows], photograph.size, image.shape)
            for index, (photograph, image) in enumerate(zip(photographs, images, strict=True))
            for rows in [np.flatnonzero(faces.image == index)]
        ]

    def _smallest(self, photograph: Photograph, image: NDArray[np.uint8]) -> float:
        return max(SMALLEST_FACE, self.min_face * photograph.size[1] / image.shape[1])

    def _refine(self, photographs: list[Photograph], candidates: Candidates) -> Candidates:
        squares = candidates.squared()
        crops = self._crops(photographs, squares.image, squares.crops(REFINEMENT_CROP), REFINEMENT_CROP)
        confidence, corrections = self._run(self.cascade.refinement, crops, 4 * self.chunk)
        kept = confidence >= REFINEMENT_CONFIDENCE
        likely = replace(squares, confidence=confidence).take(kept)
        best = best_rows(likely, likely.image, OVERLAP)
        return likely.take(best).corrected(corrections[kept][best])

    def _locate(
        self, photographs: list[Photograph], candidates: Candidates
    ) -> tuple[Candidates, NDArray[np.float64]]:
        """Faces, and their landmarks ``(N, 5, 2)`` in pixels of the reduced photographs."""
        squares = candidates.squared()
        crops = self._crops(photographs, squares.image, squares.crops(OUTPUT_CROP), OUTPUT_CROP)
        confidence, corrections, places = self._run(self.cascade.output, crops, self.chunk)
        kept = confidence >= OUTPUT_CONFIDENCE
        faces = replace(squares, confidence=confidence).corrected(corrections).take(kept)
        best = best_faces(faces, OVERLAP)
        return faces.take(best), apply(squares.crops(1), places)[kept][best]

    def _relocate(
        self, photographs: list[Photograph], image: NDArray[np.int64], landmarks: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The landmarks, located in crops that they turn upright: means over the crop and its mirror image."""
        upright = fit_similarity(CANONICAL * OUTPUT_CROP, landmarks)
        crops = self._crops(photographs, image, upright, OUTPUT_CROP)
        places = self._run(self.cascade.output, torch.cat([crops, crops.flip(3)]), self.chunk)[2]
        direct, mirrored = np.split(places, 2)
        both = (direct + mirrored[:, list(MIRRORED)] * (-1, 1) + (1, 0)) / 2
        return apply(upright, both * OUTPUT_CROP)

    def _crops(
        self, photographs: list[Photograph], image: NDArray[np.int64], matrices: Matrix, size: int
    ) -> Tensor:
        """A crop ``(3, size, size)`` for each matrix, from the photograph whose number is in ``image``."""
        crops = torch.empty(
            (len(image), 3, size, size), device=self.device, memory_format=torch.channels_last
        )
        for index in np.unique(image):
            rows = np.flatnonzero(image == index)
            crops[torch.from_numpy(rows).to(self.device)] = take_crops(
                photographs[index], matrices[rows], size
            )
        return crops

    def _run(
        self, network: Callable[[Tensor], tuple[Tensor, ...]], crops: Tensor, chunk: int
    ) -> tuple[NDArray[np.float32], ...]:
        """A network's outputs for any number of crops, in passes of ``chunk``."""
        # To whole passes, and to one pass if there are no crops.
        padded = F.pad(crops, (0, 0, 0, 0, 0, 0, 0, -len(crops) % chunk or chunk * (not len(crops))))
        passes = [network(part) for part in padded.split(chunk)]
        return tuple(torch.cat(parts)[: len(crops)].cpu().numpy() for parts in zip(*passes, strict=True))


def make_mtcnn(device: str = "cpu", *, min_face: float = 40.0, longest_side: int = 1280) -> Mtcnn:
    """The face detector of this package, on ``device`` (``cpu``, ``cuda``, ``cuda:1`` …)."""
    where = torch.device(device)
    cascade = load_cascade().to(where).to(memory_format=torch.channels_last)
    chunk = 16 if where.type == "cpu" else 64
    return Mtcnn(cascade, where, min_face=min_face, longest_side=longest_side, chunk=chunk)


def _faces(
    faces: Candidates, landmarks: NDArray[np.float64], reduced: tuple[int, int], whole: tuple[int, ...]
) -> list[Face]:
    """The faces in pixels of the photograph, whose height and width are ``whole``, the most confident first."""
    scale = np.array([whole[1] / reduced[1], whole[0] / reduced[0]])
    order = np.argsort(-faces.confidence, kind="stable")
    boxes = (faces.boxes * np.tile(scale, 2))[order].tolist()
    return [
        Face((left, top, right, bottom), points, confidence)
        for (left, top, right, bottom), points, confidence in zip(
            boxes,
            (landmarks * scale)[order].astype(np.float32),
            faces.confidence[order].tolist(),
            strict=True,
        )
    ]
