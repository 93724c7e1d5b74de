"""The record of a run in its folder: ``run.json``, written at the start, and ``result.json``, written at the end.

A run is resumed only with the settings, the data and the weights that it was started with.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from attgan.data.loading.loader import Faces
from attgan.data.manifest import to_bytes
from attgan.errors import UserError
from attgan.models import AttributeClassifier, Discriminator, Generator
from attgan.models.folder import Folder
from attgan.training.config import EXECUTION_ONLY, LoopConfig
from attgan.training.networks import digest, precision_on
from attgan.training.run_folder.checkpoint import LATEST
from attgan.training.run_folder.progress import Outcome
from attgan.version import SOFTWARE

RUN = "run.json"
RESULT = "result.json"

ConfigFingerprint = Mapping[str, Any]

# Settings that later versions added, with the values that an older run had in effect.
_LATER: dict[str, Any] = {
    **{"subset": "all", "lambda_pairs": 100.0, "lambda_edges": 50.0, "pair_variants": 8},
    "random_images": None,
}
# The same of a classifier's training.
_LATER |= {"augment": False, "rendered": 0, "attribute": "Eyeglasses"}
# A generator's settings that later versions added. They are left out where they have these values, so that the
# fingerprints of older runs stay equal.
_LATER_SHAPE = {"styles": (), "compositing": "thresholded"}


def config_fingerprint(
    kind: str,
    config: LoopConfig,
    faces: Faces,
    generator: Generator,
    discriminator: Discriminator,
    *,
    device: str,
    classifier: AttributeClassifier | None,
    evaluator: AttributeClassifier | None = None,
) -> ConfigFingerprint:
    """What decides a run's result: settings, data and starting weights. Equal fingerprints give equal results.

    (Equal to the bit on devices of one kind.)

    Args:
        kind: "training" or "alignment".
        config: the settings. Fields that a flow's subclass adds are ignored.
        faces: the data.
        generator, discriminator: with their starting weights.
        device: decides the precision if that is "auto".
        classifier: becomes part of the result.
        evaluator: classifies edited faces; None: the classifier does.
    """
    evaluator = classifier if evaluator is None else evaluator
    manifest = hashlib.sha256(to_bytes(faces.dataset.manifest)).hexdigest()
    settings = config.model_dump(mode="json") | {"precision": precision_on(config, device)}
    # A limit above the number of images is none, and older versions had none.
    if (settings.get("random_images") or 0) >= len(faces.training):
        settings["random_images"] = None
    return {
        "kind": kind,
        "schema_version": 1,
        "settings": settings,
        "data": {
            "manifest": manifest,
            "size": faces.size,
            "attributes": list(faces.attributes),
            "training": _rows_digest(faces.training),
            "held_out": _rows_digest(faces.held_out),
        },
        "start": {
            "generator": {"settings": _shape(generator), "sha256": digest(generator)},
            "discriminator": {"settings": discriminator.config.model_dump(), "sha256": digest(discriminator)},
            "classifier": None if classifier is None else {"sha256": digest(classifier)},
            "judge": None if evaluator is None else {"sha256": digest(evaluator)},
        },
    }


def begin(folder: Folder, wanted: ConfigFingerprint) -> None:
    """Write ``run.json``, unless the folder holds a run to resume: then it must be the same run.

    The file also names the version that begins the run. Another version may continue it.

    Raises:
        UserError: the folder holds another run, as :func:`check_same` finds.
        OSError: what the filesystem reports.
    """
    if not check_same(folder, wanted):
        folder.write(RUN, (json.dumps({**wanted, "software": SOFTWARE}, indent=1) + "\n").encode())


def check_same(folder: Folder, wanted: ConfigFingerprint) -> bool:
    """Whether the folder holds a run to resume. Writes nothing.

    A run that never saved a state does not count: another run may replace it.

    Raises:
        UserError: it is another run; the line names the first setting that differs, and both values.
        OSError: what the filesystem reports.
    """
    if not folder.has(LATEST) and not folder.has(RESULT):
        return False
    _compare(folder, _read(folder), wanted)
    return True


def read_result(folder: Folder) -> Outcome | None:
    """How the run in this folder ended; None if it has not finished."""
    try:
        return Outcome(**json.loads(folder.read(RESULT)))
    except FileNotFoundError:
        return None


def write_result(folder: Folder, outcome: Outcome) -> None:
    """Write ``result.json``: from now on the run is finished."""
    folder.write(RESULT, (json.dumps(asdict(outcome), indent=1) + "\n").encode())


def _read(folder: Folder) -> ConfigFingerprint:
    try:
        found: ConfigFingerprint = json.loads(folder.read(RUN))
    except (FileNotFoundError, ValueError):
        raise UserError(
            "run-record-damaged", f"{folder.path}/{RUN}: is missing or damaged; start anew in another folder"
        ) from None
    return found


def _compare(folder: Folder, found: ConfigFingerprint, wanted: ConfigFingerprint) -> None:
    where = f"{folder.path} holds"
    if (found.get("kind"), found.get("schema_version")) != (wanted["kind"], wanted["schema_version"]):
        raise UserError(
            "run-kind-differs",
            f"--destination {folder.path}: there is another kind of run: {found.get('kind')}",
        )
    for name, value in wanted["settings"].items():
        before = found["settings"].get(name, _LATER.get(name))
        if name not in EXECUTION_ONLY and before != value:
            option = "--" + name.replace("_", "-")
            raise UserError(
                "run-settings-differ",
                f"{option} {_text(value)}: {where} a run with {_text(before)}, and a run resumes with its own "
                "settings; others need another --destination",
            )
    for name, value in wanted["data"].items():
        if found["data"].get(name) != value:
            raise UserError(
                "run-dataset-differs",
                f"--dataset: {where} a run on other data ({name} differs), and a run resumes with its own; other "
                "data need another --destination",
            )
    weights, evaluator = _parted(found["start"])
    wanted_weights, wanted_evaluator = _parted(wanted["start"])
    if weights != wanted_weights:
        raise UserError(
            "run-bundle-differs",
            f"--bundle: {where} a run that started from other weights or networks; they need another "
            "--destination",
        )
    if evaluator != wanted_evaluator:
        raise UserError(
            "run-evaluator-differs",
            f"--evaluator: {where} a run whose edits another evaluator scored, and a run resumes with its own; another "
            "one needs another --destination",
        )


def _parted(start: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """The starting weights, and the evaluator. Runs of versions without one were scored by the classifier."""
    weights = {name: value for name, value in start.items() if name != "judge"}
    return weights, start.get("judge", start.get("classifier"))


def _shape(generator: Generator) -> dict[str, Any]:
    settings = generator.config.model_dump(mode="json")
    return {
        name: value
        for name, value in settings.items()
        if name not in _LATER_SHAPE or value not in (_LATER_SHAPE[name], [])
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _rows_digest(rows: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest()
