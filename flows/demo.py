"""The demo: the main job from nothing. Drawn faces → bucket → subset → edit → a picture to look at."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from attgan.data.synthetic import write_celeba
from flows import bundles
from flows.cluster import connect_ray, require_prefect
from flows.edit.flow import edit
from flows.edit.report import show
from flows.running import run_from_terminal
from flows.settings import DEFAULT_BUNDLE, DemoSettings, EditSettings, SubsetSettings
from flows.storage import join, open_store
from flows.subset import subset
from flows.terminal import console, print_line, print_mapping

OUTPUT = Path(".local/demo")
GLASSES_SHARE = 0.15  # of the faces as drawn; the others are given theirs here


def run_demo(settings: DemoSettings) -> dict[str, Any]:
    """Run all of it against the Prefect server, Ray cluster and S3 server of the environment.

    Returns:
        The edit's report.
    """
    server = require_prefect()  # before anything is written
    bundle = bundles.inspect(DEFAULT_BUNDLE)
    connect_ray()
    bucket = f"s3://demo-{secrets.token_hex(4)}"
    faces, dataset = join(bucket, "celeba"), join(bucket, "dataset")

    began = time.monotonic()
    console.rule(f"1. {settings.images:,} drawn faces, in CelebA's layout, into {faces}")
    store = open_store(faces)
    store.make_bucket()
    filesystem, path = store.filesystem()
    write_celeba(
        path, settings.images, filesystem=filesystem, seed=settings.seed, glasses_share=GLASSES_SHARE
    )

    drawn = time.monotonic()
    console.rule(f"2. attgan subset → {dataset}")
    wanted = SubsetSettings(source=faces, destination=dataset, rows_per_part=200, seed=settings.seed)
    print_mapping("Dataset", run_from_terminal(subset, settings=wanted))

    cut = time.monotonic()
    console.rule("3. attgan edit: eyeglasses for everybody, with the bundle that is shipped")
    print_line(f"bundle {bundle.digest[:16]}, {bundle.config.image_size} px: {bundle.config.licence}")
    edited = EditSettings(
        source=join(faces, "img_align_celeba"),
        destination=join(bucket, "edited"),
        bundle=DEFAULT_BUNDLE,
        labels=faces,
        shard_size=100,
    )
    result: dict[str, Any] = run_from_terminal(edit, settings=edited)
    edited_by = time.monotonic()
    show(result)

    OUTPUT.mkdir(parents=True, exist_ok=True)
    picture = OUTPUT / "before-after.jpg"
    picture.write_bytes(
        open_store(join(result["destination"], "_runs", result["run_id"])).get("before-after.jpg").data
    )
    print_line(
        f"drawing took {drawn - began:.1f} s, the subset {cut - drawn:.1f} s, the edit {edited_by - cut:.1f} s"
    )
    print_line(f"faces that nobody chose, before and after: {picture}")
    print_line(f"the Prefect UI, while the stack is up: {server.removesuffix('/api')}")
    return result
