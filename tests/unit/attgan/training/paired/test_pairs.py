"""Pairs of bare faces and rendered glasses, and a training on them."""

import errno
import json
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image

from attgan.attributes import STYLES
from attgan.data.loading.loader import Faces
from attgan.editing.compositing import edit_mask
from attgan.models import Bundle, Discriminator, Generator, load_bundle, save_bundle, with_styles
from attgan.models.folder import Folder
from attgan.training.paired.pairs import PairBatch, Pairs, draw_pairs, render_pairs
from attgan.training.run_folder.progress import Outcome
from attgan.training.trainer import train
from tests.support.small_training import (
    CARD,
    SIZE,
    open_small,
    small_config,
    small_discriminator,
    small_generator,
    stop_after,
)

CONFIG = small_config(strategy="paired", pair_variants=2, epochs=2, lambda_reconstruction=20)


@pytest.fixture(scope="module")
def pairs(small_data: Path) -> Pairs:
    with open_small(small_data) as faces:
        return render_pairs(faces, bare_rows(faces)[:12], variants=2, seed=0)


def bare_rows(faces: Faces) -> np.ndarray:
    glasses = faces.attributes.index("Eyeglasses")
    return faces.training[~faces.labels[faces.training, glasses]]


def drawn(pairs: Pairs, faces: Faces, step: int = 0, **options: bool) -> PairBatch:
    labels = torch.from_numpy(faces.labels[pairs.rows].astype(np.float32))
    glasses = faces.attributes.index("Eyeglasses")
    chosen = {"flip": True} | options
    return draw_pairs(
        pairs, pairs.rows, labels, attribute=glasses, seed=0, purpose="pairs", step=step, **chosen
    )


def small_paired(faces: Faces, folder: Path, **options: object) -> Outcome:
    generator: Generator = with_styles(small_generator(), STYLES)
    return train(generator, small_discriminator(), faces, CONFIG, Folder(folder), card=CARD, **options)


def save_copy_with(discriminator: Discriminator, bundle: Bundle, path: Path) -> None:
    save_bundle(
        path,
        generator=bundle.generator,
        discriminator=discriminator,
        attributes=bundle.config.attributes,
        licence=CARD.licence,
        about=CARD.about,
        overwrite=True,
    )


def test_glasses_change_each_face_inside_the_mask(pairs: Pairs) -> None:
    rows = np.flatnonzero(edit_mask(SIZE).numpy().any(1))
    assert pairs.top == rows[0]
    assert pairs.worn.shape == (12, 2, len(rows), SIZE, 3)
    band = pairs.bare[:, None, rows]
    assert (pairs.worn != band).any(axis=(2, 3, 4)).all()
    assert pairs.styles[..., :6].sum(-1).min() == pairs.styles[..., :6].sum(-1).max() == 1


def test_kept_pairs_are_loaded_again(small_data: Path, tmp_path: Path, pairs: Pairs) -> None:
    with open_small(small_data) as faces:
        rows = bare_rows(faces)[:12]
        made = render_pairs(faces, rows, variants=2, seed=0, keep=tmp_path)
        (file,) = tmp_path.iterdir()
        written = file.stat().st_ino
        again = render_pairs(faces, rows, variants=2, seed=0, keep=tmp_path)
        assert file.stat().st_ino == written
    for one in (made, again):
        assert np.array_equal(one.worn, pairs.worn)
        assert np.array_equal(one.styles, pairs.styles)


def test_pairs_that_a_full_disk_does_not_hold_are_used_without_being_kept(
    small_data: Path,
    tmp_path: Path,
    pairs: Pairs,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(draft: IO[bytes], **arrays: np.ndarray) -> None:
        draft.write(b"the beginning")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with open_small(small_data) as faces:
        made = render_pairs(faces, bare_rows(faces)[:12], variants=2, seed=0, keep=tmp_path)
    assert np.array_equal(made.worn, pairs.worn)
    assert list(tmp_path.iterdir()) == []
    assert "No space left on device" in caplog.text


def test_source_and_target_differ_only_inside_the_mask(pairs: Pairs, small_faces: Faces) -> None:
    batch = drawn(pairs, small_faces)
    outside = edit_mask(SIZE) == 0
    assert torch.equal(batch.source[..., outside], batch.target[..., outside])
    assert (batch.source != batch.target).flatten(1).any(1).all()
    for images in (batch.source, batch.target):
        assert -1 <= float(images.min()) <= float(images.max()) <= 1


def test_vectors_request_glasses_or_none(pairs: Pairs, small_faces: Faces) -> None:
    glasses = small_faces.attributes.index("Eyeglasses")
    removed = 0
    for step in range(6):
        batch = drawn(pairs, small_faces, step)
        before, after = batch.unedited[:, glasses], batch.edited[:, glasses]
        assert torch.equal(before.sign(), -after.sign())
        assert not batch.unedited[:, -len(STYLES) :].any()
        assert not batch.edited[after < 0, -len(STYLES) :].any()
        removed += int((after < 0).sum())
    assert 0 < removed < 6 * 12 / 2
    plain = drawn(pairs, small_faces, plain=True)
    assert torch.equal(plain.edited[:, glasses], torch.ones(12))


def test_resumed_training_gives_the_same_weights(small_data: Path, tmp_path: Path) -> None:
    with open_small(small_data) as faces:
        faces.training = bare_rows(faces)[:12]
        whole = small_paired(faces, tmp_path / "whole")
        assert small_paired(faces, tmp_path / "parts", should_stop=stop_after(3)).ended == "stopped"
        resumed = small_paired(faces, tmp_path / "parts")
    assert resumed.resumed_from == 3
    assert whole.digest == resumed.digest
    bundle = load_bundle(tmp_path / "whole" / "bundle")
    assert bundle.config.generator.styles == STYLES
    assert bundle.config.generator.compositing == "direct"
    assert whole.best["generator_loss"] > 0
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert {row["network"] for row in rows if row["kind"] == "step"} == {"generator"}
    for grid in (tmp_path / "whole" / "grids").iterdir():
        with Image.open(grid) as picture:
            assert picture.width > 3 * SIZE


def test_the_result_has_no_discriminator_because_none_was_trained(small_data: Path, tmp_path: Path) -> None:
    with open_small(small_data) as faces:
        faces.training = bare_rows(faces)[:12]
        small_paired(faces, tmp_path, should_stop=stop_after(3))
        for best in (tmp_path / "best").iterdir():
            bundle = load_bundle(best)
            assert bundle.discriminator is None
            # An earlier version stored the one that the training began with.
            save_copy_with(small_discriminator(), bundle, best)
        small_paired(faces, tmp_path)
    assert load_bundle(tmp_path / "bundle").discriminator is None


@pytest.mark.long
def test_training_brings_composites_nearer_to_targets(small_data: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"epochs": 12, "learning_rate": 3e-3, "generator_warmup": 0.0, "flip": False}
    )
    with open_small(small_data) as faces:
        generator = with_styles(small_generator(8), STYLES)
        outcome = train(generator, small_discriminator(), faces, config, Folder(tmp_path), card=CARD)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    checks = [row for row in rows if row["kind"] == "check"]
    assert outcome.best["quality"] >= checks[0]["quality"]
    assert min(row["generator_loss"] for row in checks) < 0.9 * checks[0]["generator_loss"]
