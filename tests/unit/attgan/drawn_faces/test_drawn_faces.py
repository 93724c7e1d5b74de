"""Drawn faces: the same for ever, in CelebA's geometry and files, with labels that agree."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from attgan.attributes import CELEBA, PUBLISHED
from attgan.data import codec
from attgan.data.celeba import read_labels
from attgan.drawn_faces import (
    draw,
    labels,
    sample_face,
    with_attribute,
    write_celeba,
)
from attgan.drawn_faces.dataset import face_at
from tests.support.refusals import refused

COLOURS = {"Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"}
SEEDS = st.integers(0, 2**40)
SWITCHES = st.lists(st.tuples(st.sampled_from(PUBLISHED), st.booleans()), max_size=6)


def test_pictures_have_celebas_size_and_geometry():
    faces = [sample_face(seed, glasses_share=0.0) for seed in range(40)]
    pictures = np.stack([draw(face) for face in faces])
    assert pictures.shape == (40, 218, 178, 3)
    assert pictures.dtype == np.uint8
    mean = pictures.astype(np.float64).mean(axis=0)
    grey = mean.mean(axis=2)
    # The darkest spot near each eye is its pupil.
    for column in (68.5, 109.5):
        left = int(column) - 14
        box = grey[105:122, left : left + 29]
        row, place = np.unravel_index(box.argmin(), box.shape)
        assert abs(105 + row - 111.5) <= 3
        assert abs(left + place - column) <= 3
    redness = (mean[:, :, 0] - mean[:, :, 1:].mean(axis=2))[140:172, 84:95].mean(axis=1)
    # The lips.
    assert abs(140 + redness.argmax() - 156) <= 4
    # Brightness, colour and spread of CelebA's aligned faces (130, 108, 96; standard deviation 37).
    assert np.abs(mean.mean(axis=(0, 1)) - (130, 108, 96)).max() < 25
    assert 22 < pictures.mean(axis=(1, 2, 3)).std() < 50


@given(seed=SEEDS, switches=SWITCHES)
@settings(max_examples=30, deadline=None)
def test_labels_never_contradict_each_other(seed, switches):
    face = sample_face(seed)
    for name, value in switches:
        face = with_attribute(face, name, value)
    found = labels(face)
    assert tuple(found) == CELEBA
    assert sum(found[colour] for colour in COLOURS) <= 1
    assert not (found["Straight_Hair"] and found["Wavy_Hair"])
    if found["Bald"]:
        assert not any(found[name] for name in (*COLOURS, "Bangs", "Straight_Hair", "Wavy_Hair"))
    for hair in ("Mustache", "Goatee", "5_o_Clock_Shadow", "Sideburns"):
        assert not (found[hair] and found["No_Beard"])
    if found["Bangs"]:
        assert not found["Receding_Hairline"]


def test_dataset_is_in_celebas_own_format(tmp_path):
    heard = []
    write_celeba(str(tmp_path / "set"), 90, seed=2, progress=heard.append)
    lines = (tmp_path / "set" / "list_attr_celeba.txt").read_text().split("\n")
    assert lines[0] == "90"
    assert lines[1] == " ".join(CELEBA) + " "
    assert lines[-1] == ""
    assert all(re.fullmatch(rf"{n:06d}\.jpg(  1| -1){{40}}", line) for n, line in enumerate(lines[2:-1], 1))
    assert heard[-1] == 90

    read = read_labels(fs.LocalFileSystem(), str(tmp_path / "set"))
    assert read.image_ids.to_pylist() == [f"{n:06d}.jpg" for n in range(1, 91)]
    drawn = [list(labels(face_at(number, seed=2)).values()) for number in range(90)]
    assert read.attributes.tolist() == drawn
    assert np.bincount(read.partition).tolist() == [72, 9, 9]
    people = [set(read.identity[read.partition == part]) for part in range(3)]
    # No one is in two partitions.
    assert sum(len(part) for part in people) == len(set.union(*people))
    assert np.bincount(read.identity)[1:].min() >= 1
    assert np.bincount(read.identity).max() <= 5

    data = (tmp_path / "set" / "img_align_celeba" / "000090.jpg").read_bytes()
    decoded = codec.decode(data)
    assert (decoded.format, decoded.pixels.shape) == ("JPEG", (218, 178, 3))
    error = decoded.pixels.astype(int) - draw(face_at(89, seed=2))
    # The codec's loss only.
    assert np.sqrt((error**2).mean()) < 12


def test_images_do_not_depend_on_count_or_workers(tmp_path):
    write_celeba("one", 70, filesystem=_folder(tmp_path), seed=9, glasses_share=0.6)
    write_celeba("two", 66, filesystem=_folder(tmp_path), seed=9, glasses_share=0.6, workers=2)
    for number in range(1, 67):
        name = f"img_align_celeba/{number:06d}.jpg"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    rows = [
        (tmp_path / which / "list_attr_celeba.txt").read_text().split("\n")[2:68] for which in ("one", "two")
    ]
    assert rows[0] == rows[1]


def test_labels_are_written_last(tmp_path):
    write_celeba(str(tmp_path), 3)
    (tmp_path / "img_align_celeba" / "000002.jpg").unlink()
    (tmp_path / "img_align_celeba" / "000002.jpg").mkdir()
    with pytest.raises(OSError, match="000002"):
        write_celeba(str(tmp_path), 3, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["img_align_celeba"]


@pytest.mark.parametrize(
    ("arguments", "named"), [({"count": 0}, "count 0"), ({"count": 5, "workers": 0}, "workers 0")]
)
def test_invalid_arguments_are_refused_before_writing(tmp_path, arguments, named):
    with refused("setting-invalid", named):
        write_celeba(str(tmp_path / "set"), **arguments)
    assert not (tmp_path / "set").exists()


def _folder(path: Path) -> fs.SubTreeFileSystem:
    return fs.SubTreeFileSystem(str(path), fs.LocalFileSystem())
