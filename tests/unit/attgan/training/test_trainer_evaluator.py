"""A judge that is given: it alone judges the edits, belongs to the run, and replaces no classifier of the bundle's."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from attgan.data.loading.loader import Faces
from attgan.data.transforms import to_float
from attgan.models import AttributeClassifier, ClassifierConfig, fresh, load_bundle
from attgan.models.folder import Folder
from attgan.training.networks import digest
from attgan.training.plan import Card
from attgan.training.strategies import STRATEGIES
from attgan.training.trainer import train
from attgan.training.validation import choose_rows, turned_values
from tests.support.refusals import refused
from tests.support.small_training import CARD, small_config, small_discriminator, small_generator, stop_after


def classifier(faces: Faces, seed: int) -> AttributeClassifier:
    """One that sees each attribute in about half of the faces."""
    network = fresh(AttributeClassifier, ClassifierConfig(image_size=64, width=2), seed).eval()
    with torch.no_grad():
        logits = network(to_float(faces.take(faces.held_out).images))
        network.head.bias -= logits.median(dim=0).values
    return network


def run(faces: Faces, folder: Path, card: Card = CARD, **options: Any) -> Any:
    config = small_config(max_steps=6)
    networks = small_generator(), small_discriminator()
    return train(*networks, faces, config, Folder(folder), card=card, **options)


def test_it_judges_the_edits_and_the_bundle_keeps_its_own_classifier(
    small_faces: Faces, tmp_path: Path
) -> None:
    evaluator, own = classifier(small_faces, 5), classifier(small_faces, 6)
    card = Card(CARD.licence, CARD.about, own)
    outcome = run(small_faces, tmp_path, card, evaluator=evaluator)
    kept = load_bundle(tmp_path / "bundle")
    assert kept.classifier is not None
    assert digest(kept.classifier) == digest(own) != digest(evaluator)
    glasses = small_faces.attributes.index("Eyeglasses")
    rows = choose_rows(small_faces, STRATEGIES["inverse"], glasses, 6, 0)
    batch = small_faces.take(rows)
    with torch.no_grad():
        edited = kept.generator(to_float(batch.images), turned_values(batch.labels, glasses, 1.0))
        seen = [(each(edited)[:, glasses] > 0).numpy() for each in (evaluator, own)]
    turned = batch.labels[:, glasses].numpy() < 0.5
    by_evaluator, by_own = ((each == turned).mean() for each in seen)
    assert outcome.best["edited_accuracy"] == pytest.approx(by_evaluator)
    assert by_evaluator != pytest.approx(by_own), "the two disagree, so that it can be told who judged"


def test_another_judge_or_none_is_another_run(small_faces: Faces, tmp_path: Path) -> None:
    evaluator, own = classifier(small_faces, 5), classifier(small_faces, 6)
    card = Card(CARD.licence, CARD.about, own)
    run(small_faces, tmp_path, card, evaluator=evaluator, should_stop=stop_after(0))
    for other in ({}, {"evaluator": classifier(small_faces, 7)}):
        with refused("run-evaluator-differs", "--evaluator"):
            run(small_faces, tmp_path, card, **other)
    assert run(small_faces, tmp_path, card, evaluator=evaluator).ended == "finished"


def test_a_run_from_before_subsets_and_judges_goes_on(small_faces: Faces, tmp_path: Path) -> None:
    card = Card(CARD.licence, CARD.about, classifier(small_faces, 6))
    whole = run(small_faces, tmp_path / "whole", card)
    parts = tmp_path / "parts"
    run(small_faces, parts, card, should_stop=stop_after(3))
    record = json.loads((parts / "run.json").read_text())
    del record["settings"]["subset"], record["start"]["judge"]
    (parts / "run.json").write_text(json.dumps(record))
    again = run(small_faces, parts, card)
    assert (again.resumed_from, again.digest) == (3, whole.digest)
    assert (parts / "metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()
    (parts / "run.json").write_text(json.dumps(record))
    with refused("run-evaluator-differs", "--evaluator"):
        run(small_faces, parts, card, evaluator=classifier(small_faces, 5))
