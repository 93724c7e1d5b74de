"""An alignment trains the discriminator alone, stops by itself, and can be interrupted like a training."""

import json
from pathlib import Path
from typing import Any

import torch

from attgan.data.loading.loader import Faces
from attgan.models import Generator, load_bundle
from attgan.models.folder import Folder
from attgan.training.alignment import align
from attgan.training.config import AlignmentConfig
from attgan.training.networks import digest
from attgan.training.run_folder.progress import Outcome
from attgan.training.strategies.rows import random_rows
from tests.support.refusals import refused
from tests.support.small_training import (
    CARD,
    record_order,
    small_alignment,
    small_config,
    small_discriminator,
    small_generator,
    small_train,
    stop_after,
)


def with_statistics() -> Generator:
    """A generator whose batch norms have learnt something, as a pretrained one's have."""
    generator = small_generator()
    for name, buffer in generator.named_buffers():
        if name.endswith("running_mean"):
            buffer += torch.linspace(-0.2, 0.2, len(buffer))
    return generator.eval()


def small_align(faces: Faces, folder: Path, config: AlignmentConfig, **options: Any) -> Outcome:
    return align(
        with_statistics(), small_discriminator(), faces, config, Folder(folder), card=CARD, **options
    )


def test_the_generator_comes_out_bit_for_bit_and_the_discriminator_has_learnt(
    small_faces: Faces, tmp_path: Path
) -> None:
    config = small_alignment(epochs=6, critic_accuracy=1, classifier_accuracy=1, learning_rate=3e-3)
    outcome = small_align(small_faces, tmp_path, config)
    assert (outcome.step, outcome.reason) == (72, "all 72 steps done")
    bundle = load_bundle(tmp_path / "bundle")
    assert digest(bundle.generator) == digest(with_statistics())
    assert bundle.discriminator is not None
    assert digest(bundle.discriminator) != digest(small_discriminator())
    every = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {row["network"] for row in every if row["kind"] == "step"} == {"discriminator"}
    checks = [row for row in every if row["kind"] == "check"]
    assert checks[-1]["classification"] < 0.9 * checks[0]["classification"]
    assert checks[-1]["classifier_accuracy"] > checks[0]["classifier_accuracy"]
    assert outcome.best == outcome.check == {name: checks[-1][name] for name in outcome.check}
    assert not (tmp_path / "best").exists()


def test_it_trains_on_so_many_images_drawn_at_random(small_faces: Faces, tmp_path: Path) -> None:
    record_order(small_faces, tmp_path / "order")
    config = small_alignment(random_images=30, epochs=1)
    assert small_align(small_faces, tmp_path / "run", config).step == 5, "30 images in batches of 6"
    seen = {row for line in (tmp_path / "order").read_text().splitlines() for row in json.loads(line)[2]}
    assert len(seen) == 30
    assert seen < set(small_faces.training.tolist())
    other = random_rows(small_faces, 30, seed=1)
    assert set(other.tolist()) != seen == set(random_rows(small_faces, 30, seed=0).tolist())
    with refused("run-settings-differ", "--random-images"):
        small_align(small_faces, tmp_path / "run", small_alignment(epochs=1))


def test_one_of_a_version_that_took_all_images_resumes(small_faces: Faces, tmp_path: Path) -> None:
    small_align(small_faces, tmp_path, small_alignment(), should_stop=stop_after(3))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"].pop("random_images") is None, "70,000 of 72 images are all"
    (tmp_path / "run.json").write_text(json.dumps(record))
    again = small_align(small_faces, tmp_path, small_alignment(), should_stop=stop_after(0))
    assert again.resumed_from == 3


def test_a_stop_changes_nothing(small_faces: Faces, tmp_path: Path) -> None:
    config = small_alignment(max_steps=9)
    whole = small_align(small_faces, tmp_path / "whole", config)
    for calls in (4, 2):
        left = iter([False] * calls)
        stopped = small_align(
            small_faces, tmp_path / "parts", config, should_stop=lambda left=left: next(left, True)
        )
        assert stopped.ended == "stopped"
    parts = small_align(small_faces, tmp_path / "parts", config)
    assert (parts.resumed_from, parts.digest, parts.check) == (6, whole.digest, whole.check)
    rows = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert rows[0] == rows[1]


def test_a_training_is_not_gone_on_with_as_an_alignment(small_faces: Faces, tmp_path: Path) -> None:
    small_train(small_faces, tmp_path, small_config(), should_stop=lambda: True)
    with refused("run-kind-differs", "--destination"):
        small_align(small_faces, tmp_path, small_alignment())
