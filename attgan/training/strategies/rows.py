"""The rows of a dataset that a run trains on: its subset, and of these the rows of each of the strategy's streams."""

import numpy as np

from attgan.data.loading.loader import Faces
from attgan.data.loading.order import permutation
from attgan.errors import UserError
from attgan.training.strategies import Strategy
from attgan.training.validation import in_stream

# Rows without the attribute for each row with it. So a third has it, as in the reference study.
_OTHERS = 2


def subset_rows(faces: Faces, subset: str, attribute: int, seed: int) -> np.ndarray:
    """The training rows of a subset, ascending; the held-out rows do not depend on it.

    Args:
        faces: the data.
        subset: "all"; "only", the rows with the attribute; or "extended", these and twice as many others (all the
            others if there are fewer).
        attribute: column of the attribute.
        seed: draws the others.

    Raises:
        UserError: no row has the attribute, or for "extended" none lacks it.
    """
    if subset == "all":
        return faces.training
    has = in_stream(faces.labels[faces.training], "with", attribute)
    chosen, others = faces.training[has], faces.training[~has]
    name = faces.attributes[attribute]
    if not len(chosen):
        raise UserError(
            "training-rows-missing", f"--subset {subset}: the dataset has no image with {name} to train on"
        )
    if subset == "only":
        return chosen
    if not len(others):
        raise UserError(
            "training-rows-missing", f"--subset extended: the dataset has no image without {name} to train on"
        )
    drawn = others[permutation(len(others), seed, "extended", name)[: _OTHERS * len(chosen)]]
    return np.sort(np.concatenate([chosen, drawn]))


def random_rows(faces: Faces, count: int | None, seed: int) -> np.ndarray:
    """At most ``count`` training rows, ascending, drawn by the seed; all of them for None."""
    if count is None or count >= len(faces.training):
        return faces.training
    return np.sort(faces.training[permutation(len(faces.training), seed, "random")[:count]])


def stream_rows(
    faces: Faces, rows: np.ndarray, strategy: Strategy, attribute: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Those of ``rows`` that belong to a strategy's source stream, and those of its real stream.

    Raises:
        UserError: there are none, or fewer than a batch.
    """
    found = []
    among = "dataset" if len(rows) == len(faces.training) else "subset"
    for stream in (strategy.source, strategy.real):
        of_stream = rows[in_stream(faces.labels[rows], stream, attribute)]
        kind = "" if stream == "all" else f" {stream} {faces.attributes[attribute]}"
        if not len(of_stream):
            raise UserError(
                "training-rows-missing",
                f"--strategy {strategy.name}: the {among} has no image{kind} to train on",
            )
        if len(of_stream) < batch_size:
            raise UserError(
                "batch-too-large",
                f"--batch-size {batch_size}: only {len(of_stream):,} images{kind} to train on",
            )
        found.append(of_stream)
    return found[0], found[1]
