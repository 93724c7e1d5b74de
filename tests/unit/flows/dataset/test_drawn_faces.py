"""Faces that a job draws for itself: those that were asked for, and all of them."""

import logging
from pathlib import Path

import pytest

from attgan.drawn_faces import write_celeba
from attgan.drawn_faces.dataset import LABEL_FILES
from flows.dataset import drawn_faces
from flows.dataset.drawn_faces import draw_faces
from tests.support.refusals import refused

LOG = logging.getLogger("test")


def draw(folder: Path, count: int = 3, seed: int = 0) -> None:
    draw_faces(str(folder), count, seed, LOG)


def test_they_are_drawn_once(tmp_path: Path) -> None:
    draw(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert {"000003.jpg", *LABEL_FILES} < set(before)
    draw(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_others_are_refused_by_the_option_that_differs(tmp_path: Path) -> None:
    draw(tmp_path)
    with refused("destination-holds-other-faces") as caught:
        draw(tmp_path, count=4)
    assert caught.value.line.startswith("--images 4: ")
    with refused("destination-holds-other-faces") as caught:
        draw(tmp_path, seed=1)
    assert caught.value.line.startswith("--seed 1: ")


def test_what_was_killed_while_it_wrote_its_last_file_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = tmp_path / LABEL_FILES[-1]

    def killed(path: str, count: int, **options: object) -> None:
        write_celeba(path, count)
        last.write_text(last.read_text()[:-5])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(drawn_faces, "write_celeba", killed)
        with pytest.raises(KeyboardInterrupt):
            draw(tmp_path)
    half = last.read_text()
    draw(tmp_path)
    assert last.read_text().startswith(half)
    assert last.read_text() != half
