"""What each setting decides: the bytes of the outputs, what counts as done, and whether a run resumes.

A run resumes only under the fingerprint that it began with. What is done counts for a whole lineage, which runs of
several fingerprints share.

=========== ======================= ===================== =========================== ==============================
settings    part of the fingerprint part of the lineage   another value               a resumed run has
=========== ======================= ===================== =========================== ==============================
RESULT      yes                     yes                   edits all again             the same value
COMPUTATION yes                     no                    edits what is new           the same value
SELECTION   no                      no (but the source)   plans another run           the same value
PLANNING    no                      no                    counts for the next plan    the value that it began with
CURRENT     no                      no                    counts at once              the value of today's command
=========== ======================= ===================== =========================== ==============================
"""

from __future__ import annotations

import functools
import hashlib
import json
import runpy
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attgan.attributes import Edit
from attgan.data import codec
from attgan.editing.records import EDIT_FORMAT
from attgan.errors import UserError
from attgan.version import SOFTWARE
from flows.settings import DEFAULT_BUNDLE, EditSettings

# What the user asks the results to be.
RESULT = (
    *("set", "intensity", "style", "style_from", "on_present", "on_unsure"),
    *("faces", "min_face", "min_confidence", "paste"),
    *("output", "format", "quality", "metadata"),
)
# What may change the last bits, or is looked up for single images in a table that grows with the source.
COMPUTATION = ("labels", "batch_size")
# Which images a run has.
SELECTION = ("source", "max_images", "redo")
# Where a run lies, and how it is divided.
PLANNING = ("destination", "shard_size", "run_id", "retry_failed", "dry_run")
CURRENT = (
    # The place of the bundle; its digest is part of the fingerprint and of the lineage.
    "bundle",
    # How many; whether there are any decides the device, which is part of the fingerprint.
    "gpus_per_shard",
    *("cpus_per_shard", "node_timeout", "stall_timeout"),
    *("max_bytes", "max_pixels", "max_failed_share", "notice_share"),
    *("max_rate", "deadline"),
    *("metrics_host", "metrics_port", "metrics_push"),
    *("mirror_deletions", "mirror_max_share", "on_existing", "no_faces"),
)

# Settings that stand in the fingerprint as what they were resolved to.
_RESOLVED = ("set", "intensity", "style", "style_from", "labels")
# They joined the fingerprint later, and stand in it only with another value than this: the one that results had before.
_JOINED_LATER = {"style": None, "on_unsure": "edit", "metadata": "keep"}

FIRST_SHIPPED = "027567a4fe0d68ce4d01c90ee5169a4c5370ccdd917ee17ed17f5d49f18aa13d"
"""Digest of the first shipped bundle. It stands for the shipped bundle in the lineage, whichever version that is.

So a new version of this program does not edit again what an earlier one has finished.
"""


def fingerprint_inputs(
    settings: EditSettings,
    edits: Sequence[Edit],
    bundle_digest: str,
    labels_digest: str | None,
    style: str | None = None,
) -> dict[str, Any]:
    """Everything that the output's bytes depend on besides the inputs: the content of the fingerprint.

    Args:
        settings: of the run.
        edits: parsed from the settings.
        bundle_digest: of the model.
        labels_digest: of the label file; None without one.
        style: the default style, and the digest of the table of single styles; None if the bundle has no styles.
    """
    made_of = {
        "bundle": bundle_digest,
        "labels": labels_digest,
        "edits": [[edit.attribute, edit.value, edit.intensity] for edit in edits],
        "style": style,
        **{name: getattr(settings, name) for name in (*RESULT, *COMPUTATION) if name not in _RESOLVED},
        "device": "cuda" if settings.gpus_per_shard else "cpu",
        "software": SOFTWARE,
        **versions(),
    }
    return {
        name: value
        for name, value in made_of.items()
        if name not in _JOINED_LATER or value != _JOINED_LATER[name]
    }


def versions() -> dict[str, Any]:
    """The versions on this machine that affect the output's bytes."""
    return {"edit_format": EDIT_FORMAT, "torch": _version_of_torch(), "codec": codec.VERSION}


@functools.cache
def _version_of_torch() -> str:
    """``torch.__version__``, read without importing torch. The installed package's record may lack its end, as +cpu."""
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    version: str = runpy.run_path(str(Path(spec.origin).with_name("version.py")))["__version__"]
    return version


def check_versions(made_of: Mapping[str, Any]) -> None:
    """Refuse to work on a run with library versions whose output could differ.

    Raises:
        UserError: a library has another version here than on the machine that began the run.
    """
    for name, version in versions().items():
        if made_of[name] != version:
            where = f"worker {socket.gethostname()}"
            raise UserError(
                "worker-version-differs",
                f"{where}: has {name} {version}, but the run began with {made_of[name]}",
            )


def lineage_of(settings: EditSettings, made_of: Mapping[str, Any]) -> str:
    """The hash that runs share if they make the same edit of the same source. What one has finished counts for all.

    Part of it is what the user asked the results to be. Library versions and the edit's format are not: after an
    upgrade the next run edits only what is new, and not the whole bucket again. Nor is what stands in tables of labels
    or styles, which grow with the bucket: after a change in one, only new or changed images are edited, unless
    ``--redo`` says so.
    """
    asked_for = {name: made_of[name] for name in ("bundle", "edits", *RESULT) if name in made_of}
    # The default of versions before JPEGs kept their own tables.
    asked_for["quality"] = settings.quality or 95
    if settings.style_from is not None and "style" in made_of:
        asked_for["style"] = f"{','.join(settings.style)} or as in a table"
    if settings.bundle == DEFAULT_BUNDLE:
        asked_for["bundle"] = FIRST_SHIPPED
        # The first shipped bundle had no styles.
        if not settings.style and settings.style_from is None:
            asked_for.pop("style", None)
    return hash_of([settings.source, asked_for])


def edits_text(made_of: Mapping[str, Any]) -> str:
    """The edits as outputs record them: ``Eyeglasses=1@1``."""
    return ", ".join(f"{name}={value:d}@{intensity:g}" for name, value, intensity in made_of["edits"])


def hash_of(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
