"""An independent network of eyes: a TFLite file that predicts glasses, and whose features are used.

Made for a MobileNetV3 that takes an eye region and returns one logit, below 0 for glasses. Its features are the input
of its last layer: the tensor ``…/global_average_pooling2d…/Mean`` of 1,024 numbers.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attgan.errors import UserError
from attgan.evaluation.eye_region import eye_region

SIZE = 128
"""Side of the face squares from which the eye region is taken, so that all pictures have the same resolution."""


@dataclass(frozen=True)
class EyeNetwork:
    """A loaded file.

    Attributes:
        interpreter: of TFLite, with its tensors allocated.
        input: index of the tensor that takes the eyes.
        output: of the one that holds the logit.
        features: of the one that is the input of the last layer.
        shape: height and width of the eye region, in pixels.
        feature_name: the name of the features in the file, and their number.
        digest: sha256 of the file.
    """

    interpreter: Any
    input: int
    output: int
    features: int
    shape: tuple[int, int]
    feature_name: str
    digest: str

    def look(self, faces: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute logits and features of the eyes of faces.

        Args:
            faces: ``(N, 128, 128, 3)`` uint8, RGB.

        Returns:
            ``(N,)`` logits, below 0 for glasses, and ``(N, d)`` features.
        """
        logits, features = [], []
        height, width = self.shape
        for face in faces:
            eyes = eye_region(face, width, height).astype(np.float32)[None]
            self.interpreter.set_tensor(self.input, eyes)
            self.interpreter.invoke()
            logits.append(self.interpreter.get_tensor(self.output).ravel()[0])
            features.append(self.interpreter.get_tensor(self.features).ravel().copy())
        return np.array(logits, np.float32), np.array(features, np.float32)


def load_eye_network(data: bytes, where: str) -> EyeNetwork:
    """Read a TFLite file.

    Args:
        data: its bytes.
        where: the start of a refusal: the option and its value.

    Raises:
        UserError: the runtime is not installed, or the file is not a network from eyes to one logit.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        raise UserError(
            "package-missing", f"{where}: needs `ai-edge-litert`: pip install 'attgan[evaluate]'"
        ) from None
    try:
        with warnings.catch_warnings():
            # It warns that preserving all tensors is for debugging, but the features are one of them.
            warnings.simplefilter("ignore", UserWarning)
            interpreter = Interpreter(
                model_content=data, experimental_preserve_all_tensors=True, num_threads=1
            )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            "eye-network-unreadable", f"{where}: is not a TFLite network ({str(error).splitlines()[0]})"
        ) from None
    (taken, *more), (given, *others) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = taken["shape"].tolist()
    if more or others or taken["dtype"] != np.float32 or len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
        raise UserError(
            "eye-network-unsupported",
            f"{where}: takes {shape}, and not one float32 picture (1, height, width, 3)",
        )
    if given["dtype"] != np.float32 or int(np.prod(given["shape"])) != 1:
        raise UserError(
            "eye-network-unsupported",
            f"{where}: answers with {given['shape'].tolist()}, and not with one float32 logit",
        )
    # Tensors are numbered in the order in which they are computed; constants do not depend on the input.
    before = [
        tensor
        for tensor in interpreter.get_tensor_details()
        if tensor["index"] < given["index"]
        and tensor["dtype"] == np.float32
        and len(tensor["shape"]) == 2
        and tensor["shape"][0] == 1
    ]
    seen = []
    for level in (64, 192):
        noise = np.random.default_rng(level).uniform(0, level, taken["shape"]).astype(np.float32)
        interpreter.set_tensor(taken["index"], noise)
        interpreter.invoke()
        seen.append([interpreter.get_tensor(tensor["index"]).copy() for tensor in before])
    before = [tensor for tensor, *both in zip(before, *seen, strict=True) if not np.array_equal(*both)]
    if not before:
        raise UserError("eye-network-unsupported", f"{where}: has no layer of features before its logit")
    last = max(before, key=lambda tensor: int(tensor["index"]))
    return EyeNetwork(
        interpreter,
        int(taken["index"]),
        int(given["index"]),
        int(last["index"]),
        (int(shape[1]), int(shape[2])),
        f"{last['name']} ({int(last['shape'][1])} numbers)",
        hashlib.sha256(data).hexdigest(),
    )
