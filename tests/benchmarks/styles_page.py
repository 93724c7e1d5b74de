"""A page of what each style of glasses looks like, as the shipped bundle draws it on shipped photographs.

python -m tests.benchmarks.styles_page .github/styles.jpg
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from attgan.attributes import STYLES
from attgan.detection.mtcnn import make_mtcnn
from attgan.editing.placement import placement_of, take_face
from flows.demo.edit_demo import PHOTOGRAPHS
from flows.edit.one_file import edit_file
from flows.settings import EditSettings

FACES = 8
SIDE = 132


def main() -> None:
    with (PHOTOGRAPHS / "photographs.tsv").open() as table:
        bare = [row["file"] for row in csv.DictReader(table, delimiter="\t") if row["eyeglasses"] == "0"]
    detector = make_mtcnn("cpu", min_face=60)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        # Every so many-th, so that nobody chooses.
        for name in bare[:: len(bare) // FACES][:FACES]:
            source = PHOTOGRAPHS / name
            pixels = np.asarray(Image.open(source).convert("RGB"))
            place = placement_of(max(detector.find([pixels])[0], key=lambda face: face.size)).widened(0.9)
            tiles = [take_face(pixels, place, SIDE)]
            for style in STYLES:
                edited = Path(folder) / f"{style}-{source.stem}.png"
                edit_file(
                    EditSettings(
                        source=str(source), destination=str(edited), faces="largest", style=[style.lower()]
                    )
                )
                tiles.append(take_face(np.asarray(Image.open(edited).convert("RGB")), place, SIDE))
            rows.append(np.concatenate(tiles, axis=1))
    Image.fromarray(np.concatenate(rows)).save(sys.argv[1], quality=88)


if __name__ == "__main__":
    main()
