"""A GPU made use of in ten minutes: what an edit and a training reach on it, each beside the naive way.

    python -m tests.benchmarks.gpu                    # on this machine; without a GPU at toy size
    python -m tests.benchmarks.gpu --train 8          # and then a training of eight minutes
    python -m tests.benchmarks.gpu --pack FOLDER      # a folder to carry to a machine that has a GPU and no network

Neither Prefect nor Ray nor an S3 client is needed. The report is written anew after each measurement, the most telling
come first, and each part has its share of the time: a run that is killed leaves what it had.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from attgan.attributes import PUBLISHED
from attgan.errors import UserError
from attgan.models import (
    AttributeClassifier,
    ClassifierConfig,
    Generator,
    GeneratorConfig,
    fresh,
    load_bundle,
    save_bundle,
)
from flows.bench.faces import put_files
from flows.runtime.stages import set_torch_threads
from flows.storage import open_store
from tests.benchmarks.gpu_edit import edit, generator, jpeg, together
from tests.benchmarks.gpu_kit import DATASET, SOURCES, make_data, pack
from tests.benchmarks.gpu_measuring import Bench, Measurement
from tests.benchmarks.gpu_training import check_width, gradients, train_for, training
from tests.benchmarks.table import Row, markdown, show

Part = Callable[[Bench], Iterator[Measurement]]
# Title and share of the time, the most important first.
PARTS: dict[str, tuple[str, float, Part]] = {
    "edit": ("An edit of aligned faces, folder to folder", 0.1, partial(edit, kind="faces")),
    "generator": ("The generator", 0.35, generator),
    "training": ("Training steps", 0.25, training),
    "gradients": ("Gradients beside float32's", 0.05, gradients),
    "photographs": ("An edit of photographs, folder to folder", 0.1, partial(edit, kind="photographs")),
    "jpeg": ("JPEG", 0.05, jpeg),
    "together": ("Edits in several processes", 0.1, together),
}
TOY: dict[str, Any] = {
    "width": 8,
    "size": 64,
    "images": 32,
    "photographs": 4,
    "batches": (4, 8),
    "train_batches": (4, 8),
    "edit_batch": 4,
    "train_batch": 4,
    "processes": (2,),
    "train_width": 8,
    "seconds": 0.5,
}
FULL: dict[str, Any] = {
    "width": 64,
    "size": 128,
    "images": 8192,
    "photographs": 512,
    "batches": (32, 64, 128, 256, 512, 1024),
    "train_batches": (32, 64, 128, 256, 512, 1024),
    "edit_batch": 256,
    "train_batch": 128,
    "processes": (2, 4),
    "train_width": 24,
    "seconds": 2.0,
}


@dataclass
class Report:
    """What was measured so far, as ``report.json`` and ``report.md`` in a folder."""

    folder: Path
    machine: dict[str, Any]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, title: str, found: list[Row] | str) -> None:
        """Take rows of a part, or a remark on it, and write everything."""
        if isinstance(found, str):
            self.remarks.append(f"{title}: {found}")
        else:
            self.rows.setdefault(title, []).extend(found)
        tables = {title: [asdict(row) for row in rows] for title, rows in self.rows.items()}
        self._write(
            "report.json",
            json.dumps({"machine": self.machine, "tables": tables, "remarks": self.remarks}, indent=1),
        )
        lines = [f"- {name}: {value}" for name, value in self.machine.items()]
        parts = [markdown(title, rows) for title, rows in self.rows.items()]
        remarks = [f"- {remark}" for remark in self.remarks]
        self._write("report.md", "\n".join(["# A GPU made use of", "", *lines, "", *parts, *remarks, ""]))

    def _write(self, name: str, text: str) -> None:
        temporary = self.folder / f".{name}"
        temporary.write_text(text)
        temporary.replace(self.folder / name)


def measure(parts: dict[str, tuple[str, float, Part]], bench: Bench, seconds: float, report: Report) -> bool:
    """Measure part by part; whether nothing failed. A failure ends one measurement, the time a part."""
    end, fine = time.monotonic() + seconds, True
    left = sum(share for _, share, _ in parts.values())
    for title, share, part in parts.values():
        until = time.monotonic() + (end - time.monotonic()) * share / left
        left -= share
        measurements = part(bench)
        while True:
            try:
                measurement = next(measurements, None)
                if measurement is None:
                    break
                if time.monotonic() > until:
                    report.add(title, "cut short: its share of the time is over")
                    break
                report.add(title, measurement())
            # Of whatever library: what comes after is measured all the same.
            except Exception as error:
                if not isinstance(error, UserError):
                    traceback.print_exc()
                report.add(title, f"FAILED: {type(error).__name__}: {error}")
                fine = False
        measurements.close()  # type: ignore[attr-defined]
        show(title, report.rows.get(title, []))
    return fine


def machine(device: str) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "cores": len(os.sched_getaffinity(0)),
        "load before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def make_bench(asked: argparse.Namespace, scratch: Path) -> Bench:
    """Draw or take the data, make the model, fill the source folders."""
    data = asked.data or make_data(
        scratch / "data", *((8, 2, 128) if asked.device == "cpu" else (256, 32, 1536))
    )
    sources = {}
    for kind, count in zip(SOURCES, (asked.images, asked.photographs), strict=True):
        found = [path.read_bytes() for path in sorted((data / kind).iterdir())]
        files = [found[number % len(found)] for number in range(count)]
        put_files(open_store(str(scratch / kind)), files)
        sources[kind] = (scratch / kind, files)
    size = asked.size
    save_bundle(
        scratch / "bundle",
        generator=fresh(Generator, GeneratorConfig(width=asked.width, image_size=size), 0),
        classifier=fresh(AttributeClassifier, ClassifierConfig(image_size=size), 0),
        attributes=PUBLISHED,
        licence="untrained",
        about="To measure with.",
    )
    return Bench(
        device=asked.device,
        width=asked.width,
        size=size,
        bundle=load_bundle(scratch / "bundle"),
        bundle_url=str(scratch / "bundle"),
        sources=sources,
        dataset=asked.dataset or str(data / DATASET),
        scratch=scratch,
        batches=tuple(asked.batches),
        train_batches=tuple(asked.train_batches),
        edit_batch=asked.edit_batch,
        train_batch=asked.train_batch,
        processes=tuple(asked.processes),
        cpus=asked.cpus,
        seconds=asked.seconds,
        compiled=not asked.eager,
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; what is not given is full size on a GPU and toy size elsewhere."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if on_gpu else "cpu")
    parser.add_argument("--minutes", type=float, default=8, help="for all parts; a training comes after them")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--train", type=float, default=0, metavar="MINUTES", help="train for so long")
    parser.add_argument("--out", type=Path, default=Path(".local/gpu"), help="folder for report and bundle")
    parser.add_argument("--data", type=Path, help="folder that --pack has filled; drawn here without it")
    parser.add_argument("--dataset", help="URL of a dataset to train on instead of drawn faces")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="fill a folder to carry, and stop")
    parser.add_argument("--eager", action="store_true", help="compile nothing")
    parser.add_argument("--cpus", type=int, default=len(os.sched_getaffinity(0)))
    for name, value in TOY.items():
        many = {"nargs": "+", "type": int} if isinstance(value, tuple) else {"type": type(value)}
        parser.add_argument(f"--{name.replace('_', '-')}", **many)
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not on_gpu:
        parser.error("--device cuda: torch sees no CUDA device here")
    for name, value in (TOY if asked.device == "cpu" else FULL).items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the report; 1 where a measurement failed, 2 for a mistake."""
    asked = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if asked.pack:
            print(pack(asked.pack))
            return 0
        if asked.train:
            check_width(asked.train_width, asked.size)
        # The naive loop's too.
        set_torch_threads(asked.cpus)
        asked.out.mkdir(parents=True, exist_ok=True)
        report = Report(asked.out, machine(asked.device))
        with tempfile.TemporaryDirectory() as scratch:
            bench = make_bench(asked, Path(scratch))
            fine = measure(
                {name: PARTS[name] for name in PARTS if name in asked.parts},
                bench,
                60 * asked.minutes,
                report,
            )
            if asked.train:
                part = partial(train_for, minutes=asked.train, width=asked.train_width, out=asked.out)
                fine &= measure({"train": ("A training", 1.0, part)}, bench, 60 * asked.train, report)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(report.remarks))
    print(f"written: {asked.out}/report.json, report.md")
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
