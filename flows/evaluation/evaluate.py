"""Measure a bundle on people that no training has seen. Measured is what a user receives: the edited photograph."""

from __future__ import annotations

import itertools
import json
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from attgan.data.codec import Limits
from attgan.errors import UserError
from attgan.evaluation.evaluator import Evaluator, recognise
from attgan.evaluation.plots.image_grids import before_after_grid, scaled
from attgan.evaluation.tflite import SIZE, EyeNetwork, load_eye_network
from flows.dataset.face_tables import ListedFace, open_face_tables
from flows.edit.job import resolve_at
from flows.edit.shard.model import detector_of, editor_of
from flows.evaluation.figures import group_figures
from flows.evaluation.measure import Failure, GlassesEvaluator, MeasuredFace, Tools, measure
from flows.evaluation.report import REPORT, faces_table, to_json, to_markdown
from flows.runtime.terminal import ProgressLines, print_line
from flows.settings import EditSettings, EvaluateSettings
from flows.storage import Store, open_store
from flows.storage.bundles import open_bundle
from flows.training.evaluators import open_evaluator

ATTRIBUTE = "Eyeglasses"

# Images at a time.
_CHUNK = 16
# Pairs of pictures on a page, and their height in pixels.
_PER_PAGE, _HEIGHT = 24, 218


@dataclass(frozen=True)
class _ClassifierOfGlasses:
    evaluator: Evaluator

    @property
    def size(self) -> int:
        return self.evaluator.size

    def sees(self, faces: np.ndarray) -> np.ndarray:
        return recognise(self.evaluator, faces)[:, self.evaluator.names.index(ATTRIBUTE)]


@dataclass(frozen=True)
class _NetworkOfGlasses:
    network: EyeNetwork

    @property
    def size(self) -> int:
        return SIZE

    def sees(self, faces: np.ndarray) -> np.ndarray:
        return self.network.look(faces)[0] < 0


def evaluate(settings: EvaluateSettings) -> dict[str, Any]:
    """Measure, and write report.json, report.md, faces.csv and the pages; returns the content of report.json.

    Raises:
        UserError: a mistake in the settings or a table, a report at the destination, or no face without glasses.
        StorageError: the storage failed after its retries.
    """
    store = open_store(settings.destination, option="--destination")
    store.check(write=True)
    if any(info.key == REPORT for info in store.list(REPORT)):
        raise UserError(
            "report-exists",
            f"--destination {settings.destination}: {REPORT} exists; choose another place",
        )
    tables = open_face_tables(settings)
    evaluator, network, about = _evaluator(settings)
    tools = _tools(settings, evaluator, network)
    faces = [face for table in tables for face in table.faces]
    if all(face.wears for face in faces):
        raise UserError("bare-faces-missing", f"--faces {settings.faces[0]}: there is no bare face to edit")
    shown = _shown(faces, settings.pages)
    progress = ProgressLines("faces", len(faces))
    measured: list[MeasuredFace] = []
    failures: list[Failure] = []
    limits = Limits()
    images = itertools.chain.from_iterable(table.images() for table in tables)
    for chunk in _chunks(images):
        found, failed = measure(chunk, tools, limits, grey_copies=settings.grey_copies)
        for face in found:
            _keep(face, shown)
        measured += found
        failures += failed
        progress.advance(len(chunk))
    print_line("computing figures and their intervals")
    report = to_json(
        settings,
        about=about | {"bundle": tools.job.made_of["bundle"], "software": tools.job.made_of["software"]},
        without_split=[url for url, table in zip(settings.faces, tables, strict=True) if not table.split],
        groups=group_figures(measured, settings.seed),
        failures=[f"{each.listed.set}/{each.listed.name}: {each.reason}" for each in failures],
    )
    _write_pages(store, measured)
    store.put("faces.csv", faces_table(measured), content_type="text/csv")
    store.put("report.md", to_markdown(report).encode(), content_type="text/markdown")
    data = json.dumps(report, indent=2, allow_nan=False).encode() + b"\n"
    # Written last: it marks the evaluation as complete.
    store.put(REPORT, data, content_type="application/json")
    return report


def _tools(settings: EvaluateSettings, evaluator: GlassesEvaluator, network: EyeNetwork | None) -> Tools:
    edit = EditSettings(
        source=settings.faces[0],
        destination=settings.destination,
        bundle=settings.bundle,
        set=[f"{ATTRIBUTE}=1"],
        intensity=settings.intensity,
        faces=settings.find,
        on_present=settings.on_present,
        batch_size=settings.batch_size,
        style=settings.style,
    )
    # Neither place is read or written by the edit.
    job = resolve_at(edit, open_store(edit.source), open_store(edit.destination))
    editor, detector = editor_of(job.model), detector_of(edit.min_face, on_gpu=False)
    return Tools(job, editor, detector, evaluator, network, settings.renderer, settings.seed)


def _evaluator(settings: EvaluateSettings) -> tuple[GlassesEvaluator, EyeNetwork | None, dict[str, Any]]:
    """The evaluator, the network that computes features, and the report's entries on both."""
    evaluator: GlassesEvaluator
    network = None
    if settings.evaluator.endswith(".tflite"):
        network = _read_network(settings.evaluator, "--evaluator")
        evaluator = _NetworkOfGlasses(network)
        what, digest = settings.evaluator, network.digest
    else:
        classifier = open_evaluator(settings.evaluator, "--evaluator")
        if ATTRIBUTE not in classifier.names:
            raise UserError(
                "attribute-unknown", f"--evaluator {settings.evaluator}: does not know {ATTRIBUTE}"
            )
        evaluator = _ClassifierOfGlasses(classifier)
        what, digest = classifier.about, classifier.digest
        bundle = open_bundle(settings.bundle, with_discriminator=False)
        if bundle.classifier is not None and _same_weights(classifier, bundle.classifier.state_dict()):
            what += " (the bundle's own classifier, so not independent)"
    if settings.features is not None:
        network = _read_network(settings.features, "--features")
    features = None if network is None else {"tensor": network.feature_name, "digest": network.digest}
    return evaluator, network, {"evaluator": {"about": what, "digest": digest}, "features": features}


def _same_weights(evaluator: Evaluator, weights: dict[str, Any]) -> bool:
    ours = evaluator.classifier.state_dict()
    return ours.keys() == weights.keys() and all(ours[name].equal(weights[name]) for name in ours)


def _read_network(url: str, option: str) -> EyeNetwork:
    folder, name = posixpath.split(url)
    store = open_store(folder, option=option)
    store.check()
    try:
        data = store.get(name).data
    except FileNotFoundError:
        raise UserError("file-missing", f"{option} {url}: there is no such file") from None
    return load_eye_network(data, f"{option} {url}")


def _chunks(
    images: Iterable[tuple[ListedFace, bytes | None]],
) -> Iterator[list[tuple[ListedFace, bytes | None]]]:
    rest = iter(images)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield chunk


def _shown(faces: list[ListedFace], pages: int) -> set[ListedFace]:
    """The bare faces for the pages, evenly spread over the tables and independent of the results."""
    bare = [face for face in faces if not face.wears]
    count = min(pages * _PER_PAGE, len(bare))
    return {bare[number * len(bare) // count] for number in range(count)}


def _keep(face: MeasuredFace, shown: set[ListedFace]) -> None:
    """Keep the pictures for the pages, at their size there, and drop the others."""
    if face.listed in shown and face.before is not None and face.after is not None:
        face.before, face.after = scaled(face.before, _HEIGHT), scaled(face.after, _HEIGHT)
    else:
        face.before = face.after = None


def _write_pages(store: Store, measured: list[MeasuredFace]) -> None:
    shown = [face for face in measured if face.before is not None and face.after is not None]
    for page in range(-(-len(shown) // _PER_PAGE)):
        part = shown[page * _PER_PAGE : (page + 1) * _PER_PAGE]
        grid = before_after_grid(
            [(face.before, face.after) for face in part],  # type: ignore[misc]
            [f"{face.listed.set}/{face.listed.name}{'' if face.edited else ', not edited'}" for face in part],
            height=_HEIGHT,
        )
        store.put(f"page-{page + 1:02d}.jpg", grid, content_type="image/jpeg")
