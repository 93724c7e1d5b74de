"""A dataset of drawn faces in CelebA's own layout, on any filesystem."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import accumulate

import simplejpeg
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.drawn_faces.drawing import draw
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.labels import labels
from attgan.drawn_faces.sampling import another_picture, sample_face
from attgan.errors import UserError

IMAGE_FOLDER = "img_align_celeba"
LABEL_FILES = ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt")
# As in CelebA's own files.
QUALITY = 75
# A file name has six digits.
MAX_IMAGES = 999_999

# Pictures of each person, in cycles of ten people and thirty pictures. Of each ten, the fifth person is in the
# validation partition and the eighth in the test partition. So partitions share no person, and a longer dataset begins
# with the images of a shorter one.
_PICTURES = (3, 2, 4, 1, 3, 5, 2, 3, 4, 3)
_STARTS = (0, *accumulate(_PICTURES))
_PARTITION = {4: 1, 7: 2}
_CHUNK = 64
_WRITERS = 8


def write_celeba(
    path: str,
    count: int,
    *,
    filesystem: fs.FileSystem | None = None,
    seed: int = 0,
    workers: int = 1,
    glasses_share: float = 0.3,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write ``img_align_celeba/000001.jpg`` … and CelebA's three label files, the labels last.

    Image n depends only on the seed, n and glasses_share, not on count or workers. One to five images show the same
    person, and all of a person's images lie in one partition (80 % train, 10 % validation, 10 % test).

    Args:
        path: the folder; its label files are replaced.
        count: number of images, 1 to 999,999.
        filesystem: None for the local disk.
        seed: 0 or more.
        workers: number of processes that draw; with 1 it is this process.
        glasses_share: probability of glasses in an image, 0 to 1.
        progress: called repeatedly with the number of images written.

    Raises:
        UserError: an argument outside its range.
        OSError: the filesystem failed.
    """
    _check(count, seed, workers, glasses_share)
    filesystem = filesystem or fs.LocalFileSystem()
    root = path.rstrip("/")
    for name in LABEL_FILES:
        if filesystem.get_file_info(f"{root}/{name}").is_file:
            filesystem.delete_file(f"{root}/{name}")
    # The first image creates the folders, so that the threads need not.
    _put(filesystem, root, IMAGE_FOLDER, (image_name(0), picture(0, seed, glasses_share)))
    with ThreadPoolExecutor(_WRITERS) as writers:
        waiting: list[Future[None]] = []
        for done, chunk in _drawn(count, seed, workers, glasses_share):
            for future in waiting:
                future.result()
            if progress is not None and waiting:
                progress(done - len(chunk))
            waiting = [writers.submit(_put, filesystem, root, IMAGE_FOLDER, item) for item in chunk]
        for future in waiting:
            future.result()
    if progress is not None:
        progress(count)
    for name, content in zip(LABEL_FILES, _label_files(count, seed, glasses_share), strict=True):
        _put(filesystem, root, "", (name, content.encode("ascii")))


def face_at(number: int, seed: int = 0, glasses_share: float = 0.3) -> Face:
    """The face of image `number`, counted from 0."""
    person, which = _person_at(number)
    face = sample_face((seed << 32) + person, glasses_share=glasses_share)
    return another_picture(face, which, glasses_share=glasses_share)


def image_name(number: int) -> str:
    """The file name of image `number`, counted from 0; CelebA's own names start at 1."""
    return f"{number + 1:06d}.jpg"


def picture(number: int, seed: int = 0, glasses_share: float = 0.3) -> bytes:
    """The JPEG file of image `number`, counted from 0."""
    pixels = draw(face_at(number, seed, glasses_share))
    return bytes(simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="420"))


def _drawn(
    count: int, seed: int, workers: int, glasses_share: float
) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """Chunks of (name, JPEG) in order, each with the number drawn so far."""
    draw_chunk = partial(_draw_chunk, count=count, seed=seed, glasses_share=glasses_share)
    starts = range(0, count, _CHUNK)
    if workers == 1 or len(starts) == 1:
        for start in starts:
            yield min(start + _CHUNK, count), draw_chunk(start)
        return
    # Spawned, not forked: the caller may have threads (pyarrow, Ray, an S3 client).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(starts)), mp_context=context) as pool:
        for start, chunk in zip(starts, pool.map(draw_chunk, starts), strict=True):
            yield min(start + _CHUNK, count), chunk


def _draw_chunk(start: int, *, count: int, seed: int, glasses_share: float) -> list[tuple[str, bytes]]:
    numbers = range(start, min(start + _CHUNK, count))
    return [(image_name(number), picture(number, seed, glasses_share)) for number in numbers]


def _person_at(number: int) -> tuple[int, int]:
    """The person, and the number among the person's pictures; both from 0."""
    cycle, place = divmod(number, _STARTS[-1])
    slot = max(i for i, start in enumerate(_STARTS[:-1]) if start <= place)
    return cycle * len(_PICTURES) + slot, place - _STARTS[slot]


def _label_files(count: int, seed: int, glasses_share: float) -> tuple[str, str, str]:
    """The three files' texts in CelebA's format: numbers right-aligned in the attribute file, lines end in LF."""
    attributes = [f"{count}\n", " ".join(CELEBA), " \n"]
    partitions, identities = [], []
    for number in range(count):
        name, person = image_name(number), _person_at(number)[0]
        values = labels(face_at(number, seed, glasses_share)).values()
        attributes.append(name + "".join("  1" if value else " -1" for value in values) + "\n")
        partitions.append(f"{name} {_PARTITION.get(person % len(_PICTURES), 0)}\n")
        identities.append(f"{name} {person + 1}\n")
    return "".join(attributes), "".join(partitions), "".join(identities)


def _put(filesystem: fs.FileSystem, root: str, folder: str, item: tuple[str, bytes]) -> None:
    name, content = item
    parent = f"{root}/{folder}" if folder else root
    try:
        stream = filesystem.open_output_stream(f"{parent}/{name}")
    except FileNotFoundError:
        # Only for filesystems with real folders: in an object store this would leave a marker object.
        filesystem.create_dir(parent, recursive=True)
        stream = filesystem.open_output_stream(f"{parent}/{name}")
    with stream:
        stream.write(content)


def _check(count: int, seed: int, workers: int, glasses_share: float) -> None:
    if not 1 <= count <= MAX_IMAGES:
        raise UserError("setting-invalid", f"count {count}: must be from 1 to {MAX_IMAGES:,}")
    if seed < 0:
        raise UserError("setting-invalid", f"seed {seed}: must be 0 or more")
    if workers < 1:
        raise UserError("setting-invalid", f"workers {workers}: must be 1 or more")
    if not 0 <= glasses_share <= 1:
        raise UserError("setting-invalid", f"glasses_share {glasses_share}: must be from 0 to 1")
