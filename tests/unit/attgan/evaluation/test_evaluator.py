"""An evaluator is read as it was saved, damage is refused, and its predictions are those of its classifier."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attgan.evaluation.attribute_scores import AttributeScore
from attgan.evaluation.evaluator import (
    Evaluator,
    evaluator_of,
    fitted,
    load_evaluator,
    recognise,
    save_evaluator,
    score,
)
from attgan.models import (
    AttributeClassifier,
    ClassifierConfig,
    Generator,
    GeneratorConfig,
    fresh,
    load_bundle,
    save_bundle,
)
from attgan.models.folder import Folder
from tests.support.refusals import refused

NAMES = ("Male", "Eyeglasses", "Young")
SCORES = (
    AttributeScore("Male", 0.4, 0.9, 0.8, 0.85, 0.1),
    AttributeScore("Eyeglasses", 0.3, 0.95, 0.9, 0.94, 0.02),
    AttributeScore("Young", 1.0, 0.7, 0.7, math.nan, math.nan),
)


def classifier(seed: int = 0, attributes: int = 3) -> AttributeClassifier:
    config = ClassifierConfig(n_attributes=attributes, image_size=64, width=2)
    return fresh(AttributeClassifier, config, seed).eval()


def faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


@pytest.fixture
def evaluator() -> Evaluator:
    """One that sees each attribute in about half of the noise above."""
    network = classifier()
    with torch.no_grad():
        logits = network(torch.from_numpy(faces(40)).permute(0, 3, 1, 2).float() / 127.5 - 1)
        network.head.bias -= logits.median(dim=0).values
    return Evaluator(network, NAMES, SCORES, "trained on drawn faces", faces=500, licence="MIT")


@pytest.mark.parametrize("known", [True, False])
def test_it_comes_back_as_it_was(evaluator: Evaluator, tmp_path: Path, known: bool) -> None:
    if not known:
        evaluator = replace(evaluator, scores=None, faces=None, licence=None)
    save_evaluator(Folder(tmp_path / "evaluator"), evaluator)
    again = load_evaluator(Folder(tmp_path / "evaluator"))
    assert (again.names, again.about, again.faces, again.licence) == (
        evaluator.names,
        evaluator.about,
        evaluator.faces,
        evaluator.licence,
    )
    np.testing.assert_equal(again.scores, evaluator.scores)
    assert again.digest == evaluator.digest
    np.testing.assert_array_equal(recognise(again, faces(9)), recognise(evaluator, faces(9)))
    assert not again.classifier.training


def test_damage_is_refused_by_the_file_it_is_in(evaluator: Evaluator, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with refused("evaluator-missing", "--evaluator there", "judge.json"):
        load_evaluator(folder, "--evaluator there")
    save_evaluator(folder, evaluator)
    weights = tmp_path / "classifier.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with refused("checksum-mismatch", "classifier.safetensors", "judge.json"):
        load_evaluator(folder)
    weights.unlink()
    with refused("evaluator-missing", "classifier.safetensors"):
        load_evaluator(folder)
    weights.write_bytes(content)
    record = json.loads((tmp_path / "judge.json").read_text())
    for change in ({"attributes": ["Male"]}, {"schema_version": 2}, {"pickle": "x"}):
        (tmp_path / "judge.json").write_text(json.dumps(record | change))
        with refused("evaluator-invalid", "judge.json"):
            load_evaluator(folder)


def test_it_says_what_its_classifier_says_whatever_the_batch(evaluator: Evaluator) -> None:
    images = faces(7, seed=1)
    with torch.no_grad():
        logits = torch.cat(
            [
                evaluator.classifier(torch.from_numpy(face).permute(2, 0, 1)[None] / 127.5 - 1)
                for face in images
            ]
        )
    for batch_size in (1, 4, 64):
        np.testing.assert_array_equal(recognise(evaluator, images, batch_size=batch_size), logits.numpy() > 0)
    assert recognise(evaluator, images[:0]).shape == (0, 3)


def test_its_scores_are_counted(evaluator: Evaluator) -> None:
    images = faces(40)
    said = recognise(evaluator, images)
    labels = np.zeros((40, 3))
    labels[:10] = 1
    glasses = score(evaluator, images, labels)[1]
    assert glasses.attribute == "Eyeglasses"
    assert 0 < glasses.false_positives < 1
    assert glasses.recall == pytest.approx(said[:10, 1].mean())
    assert glasses.false_positives == pytest.approx(said[10:, 1].mean())
    assert evaluator.score_of("Eyeglasses") == SCORES[1]
    assert evaluator.score_of("Bald") is None


def test_the_judge_of_some_of_its_attributes_says_of_them_what_it_said(evaluator: Evaluator) -> None:
    images, wanted = faces(20), ("Young", "Male")
    some = fitted(evaluator, wanted, 64, "--evaluator e")
    np.testing.assert_array_equal(recognise(some, images), recognise(evaluator, images)[:, [2, 0]])
    np.testing.assert_equal(some.scores, (SCORES[2], SCORES[0]))
    assert fitted(evaluator, NAMES, 64, "--evaluator e") is evaluator
    with refused("attribute-unknown", "--evaluator e"):
        fitted(evaluator, ("Bald",), 64, "--evaluator e")
    with refused("evaluator-size-mismatch", "--evaluator e", "64", "128"):
        fitted(evaluator, NAMES, 128, "--evaluator e")


def test_a_bundles_classifier_is_a_judge_of_which_nobody_knows_how_good(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    generator = fresh(Generator, GeneratorConfig(n_attributes=3, image_size=64, width=2), 0)
    for name, network in (("with", evaluator.classifier), ("without", None)):
        save_bundle(
            tmp_path / name,
            generator=generator,
            classifier=network,
            attributes=NAMES,
            licence="by hand",
            about="-",
        )
    own = evaluator_of(load_bundle(tmp_path / "with"))
    assert (own.digest, own.scores, own.licence) == (evaluator.digest, None, "by hand")
    with refused("classifier-missing"):
        evaluator_of(load_bundle(tmp_path / "without"))
