"""Batches: the same from a cache and from parts, whichever way one gets there."""

import itertools
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attgan.attributes import CELEBA
from attgan.data.codec import decode
from attgan.data.loading.decoding import PartImages
from attgan.data.loading.loader import Batch, Faces, open_faces
from attgan.data.loading.parts import PartReader
from attgan.data.shards import Dataset
from attgan.data.stored import unpack_face
from tests.support.data.stored_dataset import labels_of, write_dataset
from tests.support.images.pictures import noise, saved
from tests.support.refusals import refused

NAMES = CELEBA[:6]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


def opened(dataset: Dataset, **options: object) -> Faces:
    usual: dict[str, object] = {"size": 64, "attributes": NAMES, "validation_share": 0.1}
    return open_faces(dataset, **(usual | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cached(dataset: Dataset) -> Iterator[Faces]:
    with opened(dataset, window=2) as faces:
        yield faces


@pytest.fixture(scope="module")
def streamed(dataset: Dataset) -> Iterator[Faces]:
    with opened(dataset, window=2, cache_bytes=0, threads=2) as faces:
        yield faces


def first(
    faces: Faces, count: int, rows: np.ndarray | None = None, size: int = 4, **options: object
) -> list[Batch]:
    usual: dict[str, object] = {"seed": 0, "name": "train"}
    stream = faces.batches(faces.training if rows is None else rows, size, **(usual | options))  # type: ignore[arg-type]
    return list(itertools.islice(stream, count))


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.rows, b.rows) and torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)
        for a, b in zip(one, other, strict=True)
    )


def pixels_of(row: int) -> torch.Tensor:
    """(3, 64, 64), of the row's image, decoded here."""
    pixels = decode(saved(noise(row, 64, 64), quality=90)).pixels
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def test_a_batch_holds_its_rows_images_and_labels(cached: Faces, streamed: Faces) -> None:
    for faces in (cached, streamed):
        assert faces.in_memory == (faces is cached)
        for batch in first(faces, 12, flip=False):
            assert batch.images.shape == (4, 3, 64, 64)
            assert batch.images.dtype == torch.uint8
            assert batch.images.is_contiguous(memory_format=torch.channels_last)
            assert batch.labels.dtype == torch.float32
            np.testing.assert_array_equal(batch.labels.numpy(), labels_of(40)[batch.rows][:, :6])
            for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
                assert torch.equal(image, pixels_of(row))


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_from_a_cache_or_from_parts_it_is_the_same(dataset: Dataset, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, 39), min_size=1, unique=True)))
    size = data.draw(st.integers(1, len(rows)))
    window = data.draw(st.integers(1, 7))
    options = {"seed": data.draw(st.integers(0, 9)), "name": data.draw(st.sampled_from(["a", "b"]))}
    options["start"] = data.draw(st.integers(0, 20))  # type: ignore[assignment]
    kept = data.draw(st.sampled_from([0, sum(part.bytes for part in dataset.manifest.parts)]))
    with opened(dataset, window=window) as one, opened(dataset, window=window, cache_bytes=kept) as other:
        assert one.in_memory
        assert not other.in_memory
        assert same(first(one, 5, rows, size, **options), first(other, 5, np.sort(rows), size, **options))


def test_half_of_the_images_are_mirrored(cached: Faces) -> None:
    plain, mirrored = first(cached, 54, flip=False), first(cached, 54)
    flipped = 0
    for one, other in zip(plain, mirrored, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        for image, maybe in zip(one.images, other.images, strict=True):
            turned = torch.equal(image.flip(2), maybe)
            assert turned or torch.equal(image, maybe)
            flipped += turned
    assert abs(flipped - 108) < 5 * np.sqrt(216) / 2
    assert not same(mirrored[:9], first(cached, 9, name="other"))
    assert not same(mirrored[:9], first(cached, 9, seed=1))


def test_faces_are_cropped_and_resized_as_everywhere(tmp_path: Path) -> None:
    aligned = {row: saved(noise(row), quality=90) for row in range(6)}
    dataset = write_dataset(tmp_path, (6,), size=128, instead=aligned)
    with opened(dataset, size=96, validation_share=0) as faces:
        images = faces.take(np.arange(6)).images
    for row, image in enumerate(images):
        expected = unpack_face(aligned[row], dataset.manifest.images, 96)
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)


def loader_threads() -> list[str]:
    return [
        t.name for t in threading.enumerate() if t.name.startswith(("batches of", "read parts", "decode"))
    ]


def test_no_thread_stays_behind(dataset: Dataset) -> None:
    for keep in (0, 10**6):
        with opened(dataset, cache_bytes=keep, threads=2) as faces:
            streams = [faces.batches(faces.training, 4, seed=0, name=str(i)) for i in range(3)]
            next(streams[0])
            # One that nobody uses any more.
            del streams[2]
            faces.take(faces.held_out)
            assert "batches of 0" in loader_threads()
            assert "batches of 2" not in loader_threads()
        assert loader_threads() == []
        assert list(streams[0]) == []


def test_what_cannot_be_trained_on_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with refused("size-above-stored", "96", "64"):
        opened(dataset, size=96)
    with refused("attribute-unknown"):
        opened(dataset, attributes=["Glasses"])
    with refused("setting-invalid", "0"):
        opened(dataset, threads=0)
    unknown = np.zeros((9, 40), dtype=bool)
    unknown[3:5, 1] = True
    partly = write_dataset(tmp_path, (4, 5), unknown=unknown)
    with refused("attribute-unlabelled", CELEBA[1], "2", "9"):
        opened(partly)
    opened(partly, attributes=CELEBA[2:5])


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[:-100])
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


@pytest.mark.parametrize(("how", "keep"), [("gone", 10**6), ("truncated", 10**6), ("changed", 0)])
def test_a_damaged_part_is_named_in_one_line(tmp_path: Path, how: str, keep: int) -> None:
    dataset = write_dataset(tmp_path, (5, 5))
    damage(tmp_path / "part-00001.parquet", how)
    with refused("dataset-damaged", "part-00001.parquet"):
        first(opened(dataset, cache_bytes=keep), 3)
    assert loader_threads() == []


def test_a_part_that_changes_in_mid_run_ends_it(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, (5, 5, 5, 5))
    with opened(dataset, cache_bytes=0, window=1) as faces:
        stream = faces.batches(faces.training, 2, seed=0, name="train")
        next(stream)
        for part in range(4):
            damage(tmp_path / f"part-0000{part}.parquet", "changed")
        with refused("dataset-damaged"):
            list(itertools.islice(stream, 30))
        assert loader_threads() == []


def test_an_image_that_does_not_open_ends_it_by_name(tmp_path: Path) -> None:
    """Nothing of ours stores one: such a dataset is not to be trusted, and no row is left out silently."""
    dataset = write_dataset(tmp_path, (5, 5), instead={7: b"\xff\xd8 no picture"})
    with refused("stored-image-broken", "part-00001.parquet", "000007.jpg"):
        first(opened(dataset, cache_bytes=0, validation_share=0), 5, size=2)


def test_memory_is_bounded_by_the_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows of parts are held, however many parts there are and however fast they are read."""
    dataset = write_dataset(tmp_path, (6,) * 12)
    images: list[weakref.ref[PartImages]] = []
    real = PartReader.read

    def read(self: PartReader, part: int, rows: np.ndarray) -> PartImages:
        taken = real(self, part, rows)
        images.append(weakref.ref(taken))
        return taken

    monkeypatch.setattr(PartReader, "read", read)
    held = []
    with opened(dataset, cache_bytes=0, window=2, validation_share=0) as faces:
        for _ in itertools.islice(faces.batches(faces.training, 6, seed=0, name="train"), 30):
            held.append(sum(reference() is not None for reference in list(images)))
    assert max(held) <= 4
    # In the third pass the parts are read for the third time.
    assert len(images) > 24


@pytest.mark.gpu
def test_pinned_batches_are_page_locked(cached: Faces, streamed: Faces) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for faces in (cached, streamed):
        pinned = first(faces, 3, pin=True)
        assert all(batch.images.is_pinned() and batch.labels.is_pinned() for batch in pinned)
        assert same(pinned, first(faces, 3))
