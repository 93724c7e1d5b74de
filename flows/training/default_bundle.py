"""Make the shipped bundle with one command, from tables of faces. It needs no server.

Each stage has a folder below the destination. A stage that was stopped resumes, and one that has finished is skipped:

    faces/, labels/   the datasets: real and synthetic faces with a few drawn ones, and with many drawn ones
    paired/           the generator learns glasses from pairs, at a constant learning rate
    final/            the same while the learning rate falls to 0
    seeing/           the classifier that recognises what a face wears before an edit
    default/          both networks in float16; the classifier has an interval of logits in which it is unsure
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from attgan.attributes import CELEBA
from attgan.data.loading.loader import Batch
from attgan.drawn_faces.dataset import face_at, image_name, picture
from attgan.drawn_faces.labels import labels
from attgan.errors import UserError
from attgan.models import AttributeClassifier, ClassifierConfig
from attgan.models.build import from_tensors
from attgan.models.card import read_card
from attgan.training.classifier.learner import logits_of
from attgan.training.run_folder.progress import Progress
from flows.dataset.face_tables import FaceTable, open_face_tables
from flows.dataset.ingest import ingest
from flows.runtime.terminal import print_line
from flows.settings import (
    ClassifierSettings,
    EvaluateSettings,
    IngestSettings,
    MakeDefaultSettings,
    TrainSettings,
)
from flows.storage import join, open_store
from flows.storage.bundles import open_bundle, save_copy
from flows.training.classifier.trial import classifier_trial
from flows.training.data import open_data
from flows.training.trial import train_trial

# Every tenth face is for validation.
_VALIDATION = 10
# One drawn face in eight is also used for pairs.
_PAIRED = 8
# Shares of the validation faces that may lie outside the interval on the wrong side: bare faces that count as wearers,
# and wearers that count as bare.
_BARE_LEFT = 0.015
_WEARERS_MISSED = 0.07

_Row = dict[str, Any]


def make_default(settings: MakeDefaultSettings) -> list[dict[str, Any]]:
    """Make the bundle, or resume; returns a table that describes it.

    Raises:
        UserError: a table or a folder is missing, or the destination holds a stage with other settings.
        StorageError: the storage failed.
    """
    place = settings.destination
    faces, seen = join(place, "faces"), join(place, "labels")
    _dataset(settings, faces, settings.drawn // _PAIRED)
    _dataset(settings, seen, settings.drawn)
    paired: dict[str, Any] = {
        "dataset": faces,
        "strategy": "paired",
        "batch_size": 16,
        "lambda_reconstruction": 20,
        "learning_rate": 8e-4,
        "generator_warmup": 1,
        "epochs": 10_000,
        "checks_per_epoch": 1,
        "validation_images": 80,
        "patience": 0,
        "seed": settings.seed,
        "cpus": settings.cpus,
        "licence": settings.licence,
    }
    first: dict[str, Any] = {"max_steps": settings.steps}
    fresh = {"size": settings.size, "width": 16, "shortcut_layers": 2, "inject_layers": 2}
    first |= {"bundle": settings.bundle} if settings.bundle else fresh
    _train("paired", TrainSettings(**paired, **first, destination=join(place, "paired")))
    last = {
        "schedule": "linear",
        "max_steps": settings.final_steps,
        "learning_rate": 6e-4,
        "lambda_edges": 100,
        "generator_warmup": 0.2,
        # Other glasses on the same faces.
        "seed": settings.seed + 1,
    }
    bundle = join(place, "paired", "bundle")
    _train("final", TrainSettings(**paired | last, bundle=bundle, destination=join(place, "final")))
    classifier = ClassifierSettings(
        dataset=seen,
        bundle=join(place, "final", "bundle"),
        destination=join(place, "seeing"),
        augment=True,
        rendered=0.4,
        width=24,
        epochs=10_000,
        max_steps=settings.classifier_steps,
        patience=0,
        seed=settings.seed,
        cpus=settings.cpus,
        licence=settings.licence,
    )
    outcome = classifier_trial(classifier, on_progress=_reporter("attribute classifier"))
    print_line(f"attribute classifier: {outcome['reason']}")
    return _finish(settings, classifier)


def _train(stage: str, settings: TrainSettings) -> None:
    outcome = train_trial(settings, on_progress=_reporter(stage))
    print_line(f"{stage}: {outcome['reason']}")


def _reporter(stage: str) -> Any:
    def report(progress: Progress) -> None:
        numbers = {name: round(value, 4) for name, value in {**progress.losses, **progress.check}.items()}
        print_line(f"{stage}: step {progress.step:,} of {progress.steps:,}; {numbers}")

    return report


def _dataset(settings: MakeDefaultSettings, place: str, drawn: int) -> None:
    """Make a dataset of the tables' ``train`` rows and of drawn faces."""
    tables = join(settings.destination, "tables")
    name = f"{place.rpartition('/')[2]}.parquet"
    store = open_store(tables, option="--destination")
    store.check(write=True)
    schema = pa.schema(
        [("image_id", pa.string()), ("image", pa.binary())]
        + [(attribute, pa.bool_()) for attribute in CELEBA]
        + [("split", pa.string())]
    )
    rows = [*_listed(settings), *_drawn(drawn, settings.seed)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    store.put(name, bytes(sink.getvalue()))
    ingest(IngestSettings(source=join(tables, name), destination=place))


def _tables(settings: MakeDefaultSettings) -> list[FaceTable]:
    asked = EvaluateSettings(
        faces=settings.faces,
        images=settings.images,
        split="train",
        # Required by the settings, but nothing is evaluated here.
        evaluator="default",
        destination=settings.destination,
    )
    return open_face_tables(asked)


def _listed(settings: MakeDefaultSettings) -> Iterator[_Row]:
    for table in _tables(settings):
        for number, (face, data) in enumerate(table.images()):
            if data is None:
                raise UserError("image-missing", f"--faces: {face.set}/{face.name}: there is no such image")
            yield dict.fromkeys(CELEBA) | {
                "image_id": f"{face.set}/{face.name}",
                "image": data,
                "Eyeglasses": face.wears,
                "split": _split(number),
            }


def _drawn(count: int, seed: int) -> Iterator[_Row]:
    for number in range(count):
        yield labels(face_at(number, seed)) | {
            "image_id": f"drawn/{image_name(number)}",
            "image": picture(number, seed),
            "split": _split(number),
        }


def _split(number: int) -> str:
    return "valid" if number % _VALIDATION == 0 else "train"


def _sources(settings: MakeDefaultSettings) -> str:
    """The card's section on the data: what the bundle was trained on, and which other models were used."""
    lines = [
        "## Sources",
        "",
        "| faces | images | with glasses |",
        "| --- | --- | --- |",
    ]
    for url, table in zip(settings.faces, _tables(settings), strict=True):
        wearers = sum(face.wears for face in table.faces)
        lines.append(f"| {posixpath.basename(url)}, split train | {len(table.faces):,} | {wearers:,} |")
    lines += [
        f"| drawn by this project | {settings.drawn:,} | |",
        "",
        "Every tenth face was set aside for validation. Of the drawn faces the classifier saw all, and the "
        "generator an eighth. The glasses were rendered (`attgan/glasses`). The faces' landmarks were found by "
        "MTCNN, whose published weights were trained on WIDER FACE and on CelebA's landmarks; `attgan edit` finds "
        "faces with the same weights. Nothing else of CelebA took part.",
    ]
    return "\n".join(lines)


def _finish(settings: MakeDefaultSettings, trained: ClassifierSettings) -> list[dict[str, Any]]:
    """Write ``default``: float16, without the discriminator, with the interval in which the classifier is unsure."""
    bundle = open_bundle(trained.destination, with_discriminator=False)
    assert bundle.classifier is not None
    unsure = _unsure_interval(trained, bundle.classifier, bundle.config.attributes)
    config = ClassifierConfig(**bundle.classifier.config.model_dump() | {"unsure": unsure})
    classifier = from_tensors(
        AttributeClassifier, config, bundle.classifier.state_dict(), trained.destination
    )
    about, metrics = read_card(bundle.card)
    url = join(settings.destination, "default")
    info = save_copy(
        bundle,
        url,
        classifier=classifier,
        licence=settings.licence,
        about=f"{_sources(settings)}\n\n## Training\n\n{about}",
        metrics=metrics,
        dtype="float16",
        overwrite=True,
    )
    return [
        {"what": "bundle", "value": url},
        {"what": "digest", "value": info.digest[:16]},
        {"what": "unsure between the logits", "value": "{:.2f} and {:.2f}".format(*unsure)},
    ]


def _unsure_interval(
    trained: ClassifierSettings, classifier: AttributeClassifier, attributes: Sequence[str]
) -> tuple[float, float]:
    """The interval of logits in which the classifier is unsure, from the validation faces that are not drawn."""
    with open_data(trained, classifier.config.image_size, attributes) as faces:
        batch: Batch = faces.take(faces.held_out)
        real = _not_drawn(faces.dataset, faces.held_out)
    column = attributes.index(trained.attribute)
    with torch.no_grad():
        logits = logits_of(classifier, batch)[:, column].numpy()[real]
    wears = batch.labels[:, column].numpy()[real] > 0.5
    high = float(np.quantile(logits[~wears], 1 - _BARE_LEFT))
    low = float(np.quantile(logits[wears], _WEARERS_MISSED))
    return (min(low, high), max(low, high))


def _not_drawn(dataset: Any, rows: np.ndarray) -> np.ndarray:
    names = itertools.chain.from_iterable(
        dataset.read_columns(part, ["image_id"]).column("image_id").to_pylist()
        for part in range(len(dataset.manifest.parts))
    )
    drawn = np.array([name.startswith("drawn/") for name in names])
    real: np.ndarray = ~drawn[rows]
    return real
