"""A process that shares decoded faces with others, for the tests to watch and to kill."""

import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import fs

from attgan.data.loading import shared
from attgan.data.loading.cache import decode_parts
from attgan.data.shards import Dataset, open_dataset
from tests.support.forking import FORKING

SIZE = 64


def start(dataset: Dataset, folder: Path, stay_after: int = 0) -> tuple[Any, Connection]:
    """A process that opens the dataset's faces once ``True`` is sent to it.

    It answers with the numbers of rows that it reported, how many rows it has decoded itself, and the sum of all
    pixels. With ``stay_after`` it says "here" when it has decoded so many rows, and does nothing more.
    """
    here, there = FORKING.Pipe()
    process = FORKING.Process(
        target=_main, args=(there, dataset.folder, str(folder), stay_after), daemon=True
    )
    process.start()
    return process, here


def _main(pipe: Connection, data: str, folder: str, stay_after: int) -> None:
    decoded, reports = 0, []

    def counted(*arguments: Any) -> Generator[np.ndarray, None, None]:
        nonlocal decoded
        for faces in decode_parts(*arguments):
            decoded += len(faces)
            yield faces

    def report(done: int, _: int) -> None:
        reports.append(done)
        if decoded >= stay_after > 0:
            pipe.send("here")
            time.sleep(600)
        time.sleep(0.02)

    shared.decode_parts = counted
    dataset = open_dataset(fs.LocalFileSystem(), data)
    pipe.recv()
    faces = shared.share_faces(dataset, SIZE, Path(folder), 1, report)
    assert faces is not None
    pipe.send((reports, decoded, int(faces.sum())))
