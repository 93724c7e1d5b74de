"""Photographs on one core: each step of an edit by itself, and the finder by the photograph's size.

    python -m tests.benchmarks.finding
    python -m tests.benchmarks.finding --photographs FOLDER --min-face 40

Without a folder the photographs are drawn faces on a plain ground, which is kind to the finder: fewer windows are
taken for a face than in a real photograph. Of a folder's files, which are read whole, it also says where it found none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from attgan.attributes import Edit, label_vector, target_vector
from attgan.data import codec
from attgan.detection import FaceDetector, make_mtcnn
from attgan.editing.editor import make_editor
from attgan.editing.placement import Pixels, placement_of, put_change, put_whole, take_face
from attgan.editing.thresholded import thresholded_change
from attgan.errors import DataError
from attgan.models import load_bundle
from attgan.models.default import default_bundle_path
from tests.benchmarks.table import Row, peak_mb, rate, show
from tests.support.images.scenes import photograph, placement

BATCH = 16
SIZES = ((400, 300), (1024, 768), (2048, 1536), (4000, 3000))
MIN_CONFIDENCE = 0.9


def measure_finder(detector: FaceDetector) -> Iterator[Row]:
    """Rows for drawn photographs of several sizes, with one face and with six."""
    for width, height in SIZES:
        for count in (1, 6):
            scene = crowd(width, height, count)
            found = len(detector.find([scene])[0])
            yield Row(
                f"find, {width}×{height}, {count} drawn",
                rate(lambda scene=scene: detector.find([scene]), 1, repeats=5),
                peak_mb=peak_mb(),
                note=f"{found} found",
            )


def measure_steps(photographs: Sequence[Pixels], detector: FaceDetector) -> Iterator[Row]:
    """Rows for finding, and for what is done with the surest face of each photograph."""
    bundle = load_bundle(default_bundle_path(), with_discriminator=False)
    names = bundle.config.attributes
    editor = make_editor(bundle.generator, "cpu", BATCH, bundle.classifier)
    found = [faces[0] if faces else None for faces in detector.find(photographs)]
    scenes = [(pixels, placement_of(face)) for pixels, face in zip(photographs, found, strict=True) if face]
    faces = np.stack([take_face(pixels, place, editor.size) for pixels, place in scenes])
    seen = editor.recognise(faces)
    # The default bundle has a classifier.
    assert seen is not None
    edits = [Edit(name, True) for name in names if name == "Eyeglasses"]
    targets, unchanged = target_vector(seen, edits, names), label_vector(seen)
    edited, reconstructed = editor.edit(faces, targets), editor.edit(faces, unchanged)

    def put(back: Callable[[Pixels, int], None]) -> None:
        for row, (pixels, _) in enumerate(scenes):
            back(pixels.copy(), row)

    steps: dict[str, Callable[[], object]] = {
        "find": lambda: [detector.find([pixels]) for pixels in photographs],
        "find, all at once": lambda: detector.find(photographs),
        "take the face": lambda: [take_face(pixels, place, editor.size) for pixels, place in scenes],
        "see its attributes": lambda: editor.recognise(faces),
        "edit, without and with": lambda: (editor.edit(faces, unchanged), editor.edit(faces, targets)),
        "put back the difference": lambda: put(
            lambda pixels, row: put_change(
                pixels, scenes[row][1], thresholded_change(edited[row], reconstructed[row])
            )
        ),
        "put back the whole face": lambda: put(
            lambda pixels, row: put_whole(pixels, scenes[row][1], edited[row])
        ),
    }
    megapixels = sum(pixels.shape[0] * pixels.shape[1] for pixels in photographs) / len(photographs) / 1e6
    note = (
        f"{len(photographs)} photographs, {megapixels:.2f} megapixels on average; {len(scenes)} have a face"
    )
    for what, work in steps.items():
        yield Row(what, rate(work, len(photographs)), peak_mb=peak_mb(), note=note)
        note = ""


def report_found(files: Sequence[Path], photographs: Sequence[Pixels], detector: FaceDetector) -> None:
    """Print how many faces were found, and in which files none."""
    found = [detector.find([pixels])[0] for pixels in photographs]
    sure = [sum(face.confidence >= MIN_CONFIDENCE for face in faces) for faces in found]
    none = [path.name for path, count in zip(files, sure, strict=True) if not count]
    least = f"at a confidence of {MIN_CONFIDENCE:g} and more"
    print(f"{len(files) - len(none)} of {len(files)} photographs have a face {least}, {sum(sure)} in all")
    print(f"none in: {', '.join(none) or '-'}")


def crowd(width: int, height: int, count: int) -> Pixels:
    """A drawn photograph with ``count`` faces side by side."""
    column = width / count
    scale = min(0.9 * column / 178, 0.6 * height / 218)
    places = {
        seed: placement(seed * column + (column - 178 * scale) / 2, (height - 218 * scale) / 2, scale)
        for seed in range(count)
    }
    return photograph(width, height, places)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photographs", type=Path, help="a folder of images; drawn ones without it")
    parser.add_argument("--min-face", type=float, default=40.0, help="pixels")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    detector = make_mtcnn(min_face=asked.min_face)
    if asked.photographs is None:
        show("Finding in drawn photographs, one core", measure_finder(detector))
        show("An edit's steps, one core", measure_steps([crowd(600, 450, 1)] * BATCH, detector))
        return
    files, photographs = [], []
    for path in sorted(asked.photographs.iterdir()):
        try:
            photographs.append(codec.decode(path.read_bytes()).pixels)
        except DataError as error:
            print(f"{path.name}: {error}")
        else:
            files.append(path)
    report_found(files, photographs, detector)
    show("An edit's steps, one core", measure_steps(photographs, detector))


if __name__ == "__main__":
    main()
