"""The demo: drawn faces → bucket → subset → edit, then photographs → edit → pictures."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from flows.dataset.subset import subset
from flows.demo.faces import draw_into_bucket
from flows.edit.flow import edit
from flows.edit.report.tables import show
from flows.runtime.cluster.connection import connect_ray, require_prefect
from flows.runtime.running import run_from_terminal
from flows.runtime.terminal import console, print_line, print_mapping
from flows.settings import DEFAULT_BUNDLE, DemoSettings, EditSettings, SubsetSettings
from flows.storage import bundles, join, open_store

OUTPUT = Path(".local/demo")
PHOTOGRAPHS = Path(__file__).parent / "photographs"
# The share of drawn faces that already wear glasses.
GLASSES_SHARE = 0.15


def run_demo(settings: DemoSettings) -> dict[str, dict[str, Any]]:
    """Run the demo on the Prefect server, Ray cluster and S3 server of the environment.

    Returns:
        The reports of both edits, ``drawn`` and ``photographs``.
    """
    # Checked before anything is written.
    server = require_prefect()
    bundle = bundles.inspect(DEFAULT_BUNDLE)
    connect_ray()
    bucket = f"s3://demo-{secrets.token_hex(4)}"
    faces, dataset = join(bucket, "celeba"), join(bucket, "dataset")

    began = time.monotonic()
    console.rule(f"1. {settings.images:,} drawn faces, in CelebA's layout, into {faces}")
    draw_into_bucket(faces, settings.images, seed=settings.seed, glasses_share=GLASSES_SHARE)

    drawn = time.monotonic()
    console.rule(f"2. attgan subset → {dataset}")
    wanted = SubsetSettings(source=faces, destination=dataset, rows_per_part=200, seed=settings.seed)
    print_mapping("Dataset", run_from_terminal(subset, settings=wanted))

    cut = time.monotonic()
    console.rule("3. attgan edit: eyeglasses for every drawn face, with the bundle that is shipped")
    print_line(f"bundle {bundle.digest[:16]}, {bundle.config.image_size} px: {bundle.config.licence}")
    reports = {
        "drawn": _edit(source=join(faces, "img_align_celeba"), into=join(bucket, "edited"), labels=faces)
    }

    drawn_edited = time.monotonic()
    photographs = join(bucket, "photographs")
    files = sorted(PHOTOGRAPHS.glob("*.jpg"))
    console.rule(
        f"4. the same for {len(files)} photographs with faces of all sizes, and another style of glasses for each"
    )
    store = open_store(photographs)
    for file in files:
        store.put(file.name, file.read_bytes(), content_type="image/jpeg")
    reports["photographs"] = _edit(
        source=photographs, into=join(bucket, "photographs-edited"), faces="all", style=["mixed"]
    )
    ended = time.monotonic()

    OUTPUT.mkdir(parents=True, exist_ok=True)
    print_line(
        f"drawing took {drawn - began:.1f} s, the subset {cut - drawn:.1f} s, the drawn faces' edit "
        f"{drawn_edited - cut:.1f} s, the photographs' {ended - drawn_edited:.1f} s"
    )
    print_line("faces before and after, not selected by hand:")
    for name, report in reports.items():
        picture = OUTPUT / f"{name}.jpg"
        run = open_store(join(report["destination"], "_runs", report["run_id"]))
        picture.write_bytes(run.get("before-after.jpg").data)
        print_line(f"  {picture}")
    print_line(f"the Prefect UI, while the stack is up: {server.removesuffix('/api')}")
    return reports


def _edit(*, source: str, into: str, **options: Any) -> dict[str, Any]:
    """Run the edit flow, show its report and return it."""
    settings = EditSettings(source=source, destination=into, bundle=DEFAULT_BUNDLE, shard_size=100, **options)
    report: dict[str, Any] = run_from_terminal(edit, settings=settings)
    show(report)
    return report
