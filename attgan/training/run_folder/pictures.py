"""The pictures that a running training writes: a grid of fixed faces, and the curves so far."""

import numpy as np
import torch

from attgan.data.transforms import to_float
from attgan.evaluation.plots.curves import Panel, draw_curves
from attgan.evaluation.plots.image_grids import faces_grid
from attgan.models.folder import Folder
from attgan.training.device import to_pixels
from attgan.training.networks import Networks
from attgan.training.paired.losses import composites
from attgan.training.paired.pairs import PairBatch
from attgan.training.run_folder.checkpoint import step_name
from attgan.training.run_folder.metrics_log import MetricsLog, Row
from attgan.training.strategies import network_values
from attgan.training.validation import HeldOut, turned_values

CURVES = "curves.png"
GRIDS = "grids"
INTENSITIES = (0.5, 1.0, 2.0)

_FACES = 8
_PAIRED_FACES = 16
# Title of each panel, and its curves: the kind of rows, the number's name in them, and its label.
_PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("Discriminator, total of each step", (("discriminator", "total", "loss"),)),
    ("Generator, total of each step", (("generator", "total", "loss"),)),
    (
        "Adversarial, each step",
        (("discriminator", "critic", "discriminator"), ("generator", "adversarial", "generator")),
    ),
    (
        "Terms of each step",
        (
            ("discriminator", "penalty", "penalty"),
            ("discriminator", "attributes", "attributes (real)"),
            ("generator", "attributes", "attributes (edited)"),
            ("generator", "reconstruction", "reconstruction"),
            ("generator", "pairs", "pairs"),
            ("generator", "edges", "edges"),
        ),
    ),
    ("Held-out loss of the generator", (("check", "generator_loss", "loss"),)),
    (
        "Held-out loss of the discriminator",
        (
            ("check", "discriminator_loss", "loss"),
            ("check", "critic", "critic"),
            ("check", "classification", "classification"),
        ),
    ),
    (
        "Held-out accuracy",
        (
            ("check", "classifier_accuracy", "all attributes"),
            ("check", "target_accuracy", "target"),
            ("check", "edited_accuracy", "edited"),
            ("check", "critic_accuracy", "critic"),
        ),
    ),
    ("PSNR of the reconstruction, dB", (("check", "psnr", "psnr"),)),
    ("SSIM of the reconstruction, and quality", (("check", "ssim", "ssim"), ("check", "quality", "quality"))),
    ("SSIM of composites and rendered glasses", (("check", "pair_ssim", "ssim"),)),
)


def write_curves(folder: Folder, log: MetricsLog) -> None:
    """Draw all panels for which there are numbers, over the steps."""
    rows: dict[str, list[Row]] = {}
    for row in log.rows:
        rows.setdefault(row.get("network", "check"), []).append(row)
    panels = []
    for title, curves in _PANELS:
        points = {
            shown: [(row["step"], row[name]) for row in rows.get(source, ()) if row.get(name) is not None]
            for source, name, shown in curves
        }
        found = {label: curve for label, curve in points.items() if curve}
        if found:
            panels.append(Panel(title, found))
    if panels:
        folder.write(CURVES, draw_curves(panels))


def write_grid(folder: Folder, networks: Networks, held_out: HeldOut, step: int) -> None:
    """Fixed faces: original, reconstruction, and the trained attribute inverted at several intensities."""
    if held_out.attribute is None:
        return
    chosen = _chosen(held_out.labels[:, held_out.attribute].cpu().numpy())
    images, labels = to_float(held_out.images[chosen]), held_out.labels[chosen]
    networks.evaluate()
    with (
        torch.no_grad(),
        torch.autocast(networks.device.type, torch.bfloat16, enabled=networks.precision == "bfloat16"),
    ):
        features = networks.generator.encode(images)
        same = networks.generator.decode(features, network_values(labels, "fixed", torch.Generator()))
        columns = [("original", images), ("reconstruction", same)]
        columns += [
            (
                f"edited at {intensity:g}",
                networks.generator.decode(features, turned_values(labels, held_out.attribute, intensity)),
            )
            for intensity in INTENSITIES
        ]
    networks.train()
    grid = faces_grid([(caption, to_pixels(faces).numpy()) for caption, faces in columns])
    folder.write(f"{GRIDS}/{step_name(step)}.jpg", grid)


def write_pair_grid(folder: Folder, networks: Networks, held_out: list[PairBatch], step: int) -> None:
    """Fixed held-out faces: as they are, the composite that a user would receive, and the rendered glasses."""
    batch = PairBatch(*(tensor[:_PAIRED_FACES] for tensor in held_out[0]))
    networks.evaluate()
    with torch.no_grad():
        made, _ = composites(networks.generator, batch)
    networks.train()
    columns = [("original", batch.source), ("edited", made * 2 - 1), ("rendered", batch.target)]
    grid = faces_grid([(caption, to_pixels(faces).numpy()) for caption, faces in columns])
    folder.write(f"{GRIDS}/{step_name(step)}.jpg", grid)


def _chosen(has: np.ndarray) -> list[int]:
    """The first faces of the fixed set. Half of them lack the attribute, if there are enough; these come first."""
    without, having = np.flatnonzero(has < 0.5), np.flatnonzero(has > 0.5)
    first = without[: max(_FACES // 2, _FACES - len(having))]
    return [*first.tolist(), *having[: _FACES - len(first)].tolist()]
