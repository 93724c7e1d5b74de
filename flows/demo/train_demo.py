"""The training demo: trains a model on drawn faces, and measures it against true pairs."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from attgan.editing.editor import make_editor
from attgan.evaluation.pairs import PairMeasures, TruePairs, draw_true_pairs, edit_pairs, measure_pairs
from attgan.evaluation.plots.image_grids import faces_grid
from flows.dataset.subset import subset
from flows.demo.faces import draw_into_bucket
from flows.runtime.cluster.connection import connect_ray, require_prefect
from flows.runtime.running import run_from_terminal
from flows.runtime.terminal import console, print_line, print_mapping, print_rows
from flows.settings import AlignSettings, DemoTrainingSettings, SubsetSettings, TrainSettings
from flows.storage import join, open_store
from flows.storage.bundles import open_bundle
from flows.training import report
from flows.training.flow import align, train
from flows.training.watch import CURVES, GRIDS

OUTPUT = Path(".local/train-demo")
ATTRIBUTE = "Eyeglasses"
INTENSITIES = (0.5, 1.0, 1.5)
# Faces in the picture.
SHOWN = 8
_BATCH = 16


def run_train_demo(settings: DemoTrainingSettings) -> None:
    """Run the demo on the Prefect server, Ray cluster and S3 server of the environment."""
    started = time.monotonic()
    settings = settings.resolved
    # Checked before anything is written.
    server = require_prefect()
    connect_ray()
    bucket = f"s3://train-demo-{secrets.token_hex(4)}"

    faces, dataset = join(bucket, "celeba"), join(bucket, "dataset")
    console.rule(f"1. {settings.images:,} drawn faces, in CelebA's layout, and attgan subset → {dataset}")
    draw_into_bucket(faces, settings.images, seed=settings.seed, workers=len(os.sched_getaffinity(0)))
    wanted = SubsetSettings(
        source=faces,
        destination=dataset,
        subset="all",
        store="cropped",
        size=settings.size,
        seed=settings.seed,
    )
    print_mapping("Dataset", run_from_terminal(subset, settings=wanted))

    usual = {
        "dataset": dataset,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "discriminator_warmup": 0.5,
        # So many that max_steps always ends the training first.
        "epochs": settings.scratch_steps + settings.tune_steps,
        "checks_per_epoch": 1,
        "seed": settings.seed,
        "licence": "MIT; trained on faces that this project drew",
    }
    both = usual | {
        "discriminator_steps": settings.discriminator_steps,
        "attribute": ATTRIBUTE,
        "generator_warmup": 1,
        "schedule": "linear",
        "patience": 0,
    }
    console.rule("2. attgan train, from scratch, with Permutation")
    scratch = _train(
        both
        | {"destination": join(bucket, "scratch"), "size": settings.size, "width": settings.width}
        | {"strategy": "permutation", "max_steps": settings.scratch_steps}
    )

    console.rule("3. attgan align: a new discriminator, trained against the frozen generator")
    aligned = _align(
        usual
        | {"destination": join(bucket, "aligned"), "bundle": scratch["bundle"], "fresh_discriminator": True}
        | {"max_steps": settings.align_steps}
    )

    console.rule(f"4. attgan train, from the aligned bundle, with Inverse, for {ATTRIBUTE}")
    tuned = _train(
        both
        | {"destination": join(bucket, "tuned"), "bundle": aligned["bundle"], "strategy": "inverse"}
        | {"max_steps": settings.tune_steps, "freeze_d": settings.freeze_d}
    )

    console.rule(f"5. {settings.pairs:,} true pairs of held-out faces")
    _measure({"from scratch": scratch["bundle"], "fine-tuned": tuned["bundle"]}, settings)
    for name in ("scratch", "aligned", "tuned"):
        _keep_pictures(join(bucket, name), name)
    print_line(f"pictures: {OUTPUT}/")
    print_line(f"the Prefect UI, while the stack is up: {server.removesuffix('/api')}")
    print_line(f"the demo took {time.monotonic() - started:,.0f} s")


def _train(options: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = run_from_terminal(train, settings=TrainSettings.model_validate(options))
    report.show(result)
    return result


def _align(options: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = run_from_terminal(align, settings=AlignSettings.model_validate(options))
    report.show(result)
    return result


def _measure(bundles: dict[str, str], settings: DemoTrainingSettings) -> None:
    """Edit held-out faces with each bundle, print how close they are to the truth, and draw those of the last one."""
    rows = []
    for name, url in bundles.items():
        bundle = open_bundle(url, with_discriminator=False)
        pairs = draw_true_pairs(
            settings.pairs,
            size=settings.size,
            attribute=ATTRIBUTE,
            names=bundle.config.attributes,
            # Other people than in the dataset.
            seed=settings.seed + 1,
        )
        editor = make_editor(bundle.generator, "cpu", _BATCH)
        edited = {intensity: edit_pairs(editor, pairs, intensity) for intensity in INTENSITIES}
        for intensity, faces in edited.items():
            rows.append({"model": name, "intensity": intensity} | _row(measure_pairs(pairs, faces)))
    print_rows(f"{ATTRIBUTE}: mean differences in grey levels of 255", rows)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "pairs.jpg").write_bytes(_picture(pairs, edited))


def _row(measures: PairMeasures) -> dict[str, Any]:
    values = asdict(measures)
    return {
        "faces": values["faces"],
        "inside the mask: original to truth": f"{values['before']:.1f}",
        "edited to truth": f"{values['after']:.1f}",
        "nearer": f"{values['nearer']:.0%}",
        "outside: edited to original": f"{values['outside']:.1f}",
    }


def _picture(pairs: TruePairs, edited: dict[float, np.ndarray]) -> bytes:
    columns = [("original", pairs.without[:SHOWN])]
    columns += [(f"edited, {intensity:g}", faces[:SHOWN]) for intensity, faces in edited.items()]
    columns.append(("the true pair", pairs.with_it[:SHOWN]))
    return faces_grid(columns)


def _keep_pictures(run: str, name: str) -> None:
    """Copy a run's curves and its last grid to disk."""
    store = open_store(run)
    (OUTPUT / f"{name}-curves.png").write_bytes(store.get(CURVES).data)
    grid = max((info.key for info in store.list(GRIDS)), default=None)
    if grid is not None:
        (OUTPUT / f"{name}-faces.jpg").write_bytes(store.get(grid).data)
