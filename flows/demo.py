"""The demo: the main job from nothing. Drawn faces → bucket → subset → edit → a picture to look at."""

from __future__ import annotations

import secrets
from pathlib import Path

from attgan.data.synthetic import write_celeba
from flows import weights
from flows.cluster import connect_ray, require_prefect
from flows.edit.flow import edit
from flows.edit.report import show
from flows.running import run_from_terminal
from flows.settings import DemoSettings, EditSettings, InitSettings, SubsetSettings
from flows.storage import join, open_store
from flows.subset import subset
from flows.terminal import console, print_line, print_mapping

OUTPUT = Path(".local/demo")


def run_demo(settings: DemoSettings) -> None:
    """Run all of it against the Prefect server, Ray cluster and S3 server of the environment."""
    server = require_prefect()  # before anything is written
    connect_ray()
    bucket = f"s3://demo-{secrets.token_hex(4)}"
    faces, dataset, bundle = (join(bucket, name) for name in ("celeba", "dataset", "bundle"))

    console.rule(f"1. {settings.images:,} drawn faces, in CelebA's layout, into {faces}")
    store = open_store(faces)
    store.make_bucket()
    filesystem, path = store.filesystem()
    write_celeba(path, settings.images, filesystem=filesystem, seed=settings.seed)

    console.rule(f"2. A freshly initialised generator into {bundle}")
    weights.init(InitSettings(destination=bundle, width=settings.width, seed=settings.seed))
    console.print("It has not been trained: ", style="bold", end="")
    console.print(
        "the edited faces show that every image went through the network, "
        "not eyeglasses. Give `attgan edit` a trained --bundle for those."
    )

    console.rule(f"3. attgan subset → {dataset}")
    wanted = SubsetSettings(source=faces, destination=dataset, rows_per_part=200, seed=settings.seed)
    print_mapping("Dataset", run_from_terminal(subset, settings=wanted))

    console.rule("4. attgan edit")
    edited = EditSettings(
        source=join(faces, "img_align_celeba"),
        destination=join(bucket, "edited"),
        bundle=bundle,
        labels=faces,
        shard_size=100,
    )
    result = run_from_terminal(edit, settings=edited)
    show(result)

    OUTPUT.mkdir(parents=True, exist_ok=True)
    picture = OUTPUT / "before-after.jpg"
    picture.write_bytes(
        open_store(join(result["destination"], "_runs", result["run_id"])).get("before-after.jpg").data
    )
    print_line(f"before and after: {picture}")
    print_line(f"the Prefect UI, while the stack is up: {server.removesuffix('/api')}")
