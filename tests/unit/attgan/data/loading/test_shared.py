"""Decoded faces that processes share: decoded once, mapped by all, never trusted blindly, never in the way."""

import logging
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from attgan.attributes import CELEBA
from attgan.data.loading import shared
from attgan.data.loading.cache import decode_all
from attgan.data.loading.loader import open_faces
from attgan.data.loading.shared import LOCK, PARTIAL, share_faces
from attgan.data.shards import Dataset
from tests.support.data.stored_dataset import write_dataset
from tests.support.refusals import refused
from tests.support.sharing import SIZE, start

ROWS = 40
# Bytes of the test dataset's pixels.
EACH = ROWS * SIZE * SIZE * 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "faces"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "set")


@pytest.fixture
def share(dataset: Dataset, folder: Path) -> Callable[..., np.ndarray | None]:
    def call(size: int = SIZE) -> np.ndarray | None:
        return share_faces(dataset, size, folder, 1)

    return call


def found(folder: Path) -> list[Path]:
    """The files in the folder but for the empty ones that are locked."""
    return sorted(file for file in folder.iterdir() if file.suffix != LOCK)


def test_they_are_what_each_would_decode_and_are_decoded_once(
    dataset: Dataset, folder: Path, share: Callable[..., np.ndarray | None]
) -> None:
    reports: list[tuple[int, int]] = []
    first = share_faces(dataset, SIZE, folder, 2, lambda done, total: reports.append((done, total)))
    assert reports == [(7, 40), (14, 40), (21, 40), (28, 40), (35, 40), (40, 40)]
    assert first is not None
    assert np.array_equal(first, decode_all(dataset, SIZE, 1))
    assert len(found(folder)) == 1
    assert folder.stat().st_mode & 0o777 == 0o700
    for part in Path(dataset.folder).glob("part-*"):
        # Nothing is left to decode.
        part.unlink()
    second = share()
    assert second is not None
    assert np.array_equal(first, second)
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 0


def test_the_loader_gives_the_same_batches_through_it(dataset: Dataset, folder: Path) -> None:
    usual = {"size": SIZE, "attributes": CELEBA[:6], "validation_share": 0.1}
    with (
        open_faces(dataset, shared=folder, **usual) as mapped,  # type: ignore[arg-type]
        open_faces(dataset, **usual) as own,  # type: ignore[arg-type]
        open_faces(dataset, shared=folder / "unused", cache_bytes=0, **usual) as streamed,  # type: ignore[arg-type]
    ):
        assert (mapped.in_memory, own.in_memory, streamed.in_memory) == (True, True, False)
        batches = [
            next(faces.batches(faces.training, 16, seed=1, name="a")) for faces in (mapped, own, streamed)
        ]
    assert all(np.array_equal(batches[0].images, batch.images) for batch in batches[1:])
    assert len(found(folder)) == 1
    assert not (folder / "unused").exists(), "nothing is kept of what does not fit into the cache"


def test_another_size_or_dataset_is_another_file(
    folder: Path, tmp_path: Path, share: Callable[..., np.ndarray | None]
) -> None:
    other = write_dataset(tmp_path / "other", (7, 7), size=SIZE)
    for faces, shape in (
        (share(), (ROWS, 64)),
        (share(32), (ROWS, 32)),
        (share_faces(other, SIZE, folder, 1), (14, 64)),
    ):
        assert faces is not None
        assert faces.shape == (*shape, shape[1], 3)
    assert len(found(folder)) == 3


def test_another_version_of_what_decodes_or_resizes_makes_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, share: Callable[..., np.ndarray | None]
) -> None:
    share()
    monkeypatch.setattr(torch, "__version__", "0.0.1")
    share()
    assert len(found(folder)) == 2
    monkeypatch.setattr(shared.codec, "VERSION", "another")
    share()
    assert len(found(folder)) == 3


def test_of_processes_that_begin_together_one_decodes(dataset: Dataset, folder: Path) -> None:
    started = [start(dataset, folder) for _ in range(2)]
    for _, pipe in started:
        pipe.send(True)
    reports, decoded, sums = zip(*(pipe.recv() for _, pipe in started), strict=True)
    for process, _ in started:
        process.join()
    assert sorted(decoded) == [0, ROWS]
    assert set(sums) == {decode_all(dataset, SIZE, 1).sum()}
    assert all(rows == sorted(rows) for rows in reports)
    assert len(found(folder)) == 1


def test_what_the_dataset_refuses_is_refused_and_leaves_nothing(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = write_dataset(tmp_path / "broken", instead={9: b"no image"})
    with refused("stored-image-broken"):
        share_faces(broken, SIZE, folder, 1)
    assert found(folder) == []
    assert not caplog.records


@pytest.mark.parametrize("harm", ["truncated", "another shape"])
def test_a_file_that_is_not_whole_is_written_again(
    harm: str, folder: Path, dataset: Dataset, share: Callable[..., np.ndarray | None]
) -> None:
    share()
    (file,) = found(folder)
    content = file.read_bytes()
    harmed = {"truncated": content[:-1], "empty": b"", "no array": content[1:]}
    harmed["another shape"] = content.replace(b"(40, 64", b"(41, 64") + bytes(SIZE * SIZE * 3)
    file.write_bytes(harmed[harm])
    faces = share()
    assert faces is not None
    assert np.array_equal(faces, decode_all(dataset, SIZE, 1))


def _open_to_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def _anothers(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    try:
        os.chown(folder, 65534, 65534)
    except PermissionError:
        pytest.skip("only root can give a folder away")


def _link(folder: Path) -> None:
    folder.parent.mkdir()
    (folder.parent / "real").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "real")


def _in_anothers(folder: Path) -> None:
    _anothers(folder.parent)
    folder.mkdir(mode=0o700)


@pytest.mark.parametrize("spoil", [_open_to_all, _anothers, _in_anothers, _link])
def test_a_folder_that_cannot_serve_costs_memory_and_one_line(
    spoil: Callable[[Path], None], folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder)
    with (
        caplog.at_level(logging.WARNING),
        open_faces(dataset, size=SIZE, attributes=CELEBA[:2], shared=folder) as faces,
    ):
        assert faces.in_memory
        assert len(faces.take(np.arange(3)).images) == 3
    (line,) = caplog.messages
    assert line.startswith(f"every process decodes its own copy of the faces, because {folder}: ")
    assert "\n" not in line


def test_a_disk_that_fills_up_meanwhile_costs_memory_and_one_line(
    folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (EACH // 2, limits[1]))
    try:
        with open_faces(dataset, size=SIZE, attributes=CELEBA[:2], shared=folder) as faces:
            assert faces.in_memory
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in caplog.text
    assert found(folder) == [], "the half is not left on the full disk"


def test_old_files_are_removed_and_what_is_mapped_stays_readable(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [write_dataset(tmp_path / str(rows), (rows,)) for rows in (10, 11, 12, 13)]

    def share(number: int) -> np.ndarray:
        faces = share_faces(data[number], SIZE, folder, 1)
        assert faces is not None
        return faces

    def rows_there() -> list[int]:
        return sorted(file.stat().st_size // (SIZE * SIZE * 3) for file in found(folder))

    def used(rows: int, seconds_ago: float) -> None:
        for file in found(folder):
            if file.stat().st_size // (SIZE * SIZE * 3) == rows:
                os.utime(file, (time.time() - seconds_ago,) * 2)

    mapped = share(0)
    share(1)
    abandoned = folder / f"x{PARTIAL}"
    abandoned.write_bytes(b"")
    os.utime(abandoned, (0, 0))
    used(10, 8 * 24 * 3600)
    share(2)
    assert rows_there() == [11, 12], (
        "one was not used for a week, nor was the half that a killed process has left"
    )

    used(11, 2000)
    used(12, 3000)
    monkeypatch.setattr(shared, "MOST_BYTES", (11 + 12 + 13) * SIZE * SIZE * 3)
    share(3)
    assert rows_there() == [11, 13], "beyond the limit the least recently used one goes"
    assert np.array_equal(mapped, decode_all(data[0], SIZE, 1))
