"""The command for a GPU, at toy size: it measures what edit and train call, and leaves what it has."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from attgan.training import attgan_learner
from flows.edit.shard import one_shard, streaming
from flows.runtime.stages import Stage
from tests.benchmarks import gpu, gpu_edit, gpu_kit, gpu_training
from tests.benchmarks.gpu_measuring import Bench, ladder
from tests.benchmarks.table import Row
from tests.support.refusals import refused

ROOT = Path(__file__).parents[2]
ABSENT = ("prefect", "prefect_ray", "ray", "boto3", "botocore", "obstore", "cyclopts", "optuna")

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Blocker())
"""


def without_them(code: str) -> str:
    """What a new process prints in which an orchestrator or a network client cannot be imported."""
    program = BLOCKED.format(absent=ABSENT) + code
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    options = "--device cpu --eager --cpus 1 --images 6 --photographs 1 --seconds 0.05"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        yield gpu.make_bench(gpu.parse(options.split()), Path(scratch))
    torch.set_num_threads(threads)


def test_a_shard_and_a_training_need_neither_orchestrator_nor_network_client() -> None:
    without_them(
        "import flows.edit.shard.streaming, flows.edit.shard.one_shard, flows.training.trial, attgan.training.trainer"
    )


@pytest.mark.long
def test_what_the_command_imports_is_brought_by_the_machine_or_by_the_kit() -> None:
    code = """
import tests.benchmarks.gpu, pathlib, sys
import attgan.data.codec.webp, attgan.training.run_folder.pictures
from attgan.evaluation.plots.curves import Panel, draw_curves
draw_curves([Panel("", {"y": [(0, 1.0)]})])
site = [m for m in list(sys.modules.values()) if "site-packages" in (getattr(m, "__file__", None) or "")]
paths = [pathlib.Path(m.__file__).parts for m in site]
print(*{parts[parts.index("site-packages") + 1].removesuffix(".py") for parts in paths})
"""
    found = {name.split(".")[0] for name in without_them(code).split()}
    # What torch brings or is itself, and a part of matplotlib.
    found -= {
        "mpl_toolkits",
        "_distutils_hack",
        "_virtualenv",
        "functorch",
        "nvidia",
        "cuda",
        "tqdm",
        "torchgen",
        "sympy",
        "mpmath",
    }
    optional = {"cloudpickle", "triton", "networkx", "numpy", "jinja2", "markupsafe", "fsspec", "filelock"}
    assert found - optional <= {*gpu_kit.BROUGHT, *gpu_kit.WHEELS}


def test_the_rates_of_an_edit_are_the_seconds_of_its_own_stages(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[list[Stage[Any]]] = []

    async def watched(*args: Any, **options: Any) -> Any:
        returned.append(await streaming.stream(*args, **options))
        return returned[-1]

    monkeypatch.setattr(one_shard, "stream", watched)
    (measurement,) = gpu_edit.edit(bench, "faces")
    rows = {row.what: row for row in measurement()}
    (stages,) = returned
    own = {stage.name: stage.seconds for stage in stages}
    for name, stage in (("fetch", "fetch"), ("decode", "decode"), ("detect", "find"), ("put", "put")):
        assert 6 / rows[name].rate == pytest.approx(own[stage], abs=1e-3)
    # Those told apart within a stage took no longer than it.
    assert 6 / rows["generator"].rate + 6 / rows["attributes"].rate <= own["edit"] + 1e-3
    assert 6 / rows["compositing"].rate + 6 / rows["encode"].rate <= own["encode"] + 1e-3


# Seconds of training for a tool's sake.
@pytest.mark.long
def test_the_steps_are_those_of_the_training_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    for name in ("discriminator_step", "generator_step"):
        original = getattr(attgan_learner, name)

        def noted(*args: Any, name: str = name, original: Any = original) -> Any:
            taken.append(name)
            return original(*args)

        monkeypatch.setattr(attgan_learner, name, noted)
    rows = next(gpu_training.training(bench))()
    assert set(taken) == {"discriminator_step", "generator_step"}
    assert [row.what.split(",")[0] for row in rows] == ["discriminator", "generator", "cycle of 3:1"]
    assert all(row.rate > 0 and row.reference for row in rows)


def test_precision_goes_through_the_slot(bench: Bench) -> None:
    rows = [row for precision in ("float32", "bfloat16") for row in rows_of(bench, precision)]
    assert {row.what for row in rows} >= {
        "float32, eager, batch 4",
        "bfloat16, eager, batch 4",
        "copy alone, batch 4",
    }


def rows_of(bench: Bench, precision: Any) -> list[Row]:
    return gpu_edit._generator_rows(bench, precision, False, 4)


def test_where_memory_runs_out_the_batch_is_halved_and_nothing_larger_is_tried() -> None:
    tried: list[int] = []

    def measure(batch: int) -> list[Row]:
        tried.append(batch)
        if batch > 16:
            raise torch.OutOfMemoryError("no room")
        return [Row("some", 1.0, note="slow")]

    rows = [measurement() for measurement in ladder((8, 64, 128), measure)]
    assert tried == [8, 64, 32, 16]
    assert rows[0][0].note == "slow"
    assert "64" in rows[1][0].note
    assert "16" in rows[1][0].note


def test_a_failure_ends_one_measurement_and_the_report_keeps_the_rest(bench: Bench, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def part(bench: Bench) -> Iterator[Any]:
        yield lambda: [Row("first", 1.0)]
        seen.append(list(json.loads((tmp_path / "report.json").read_text())["tables"]))
        yield lambda: 1 / 0
        yield lambda: [Row("last", 2.0, against="first", reference=1.0)]

    report = gpu.Report(tmp_path, {"device": "none"})
    assert not gpu.measure({"some": ("Some", 1.0, part)}, bench, 60, report)
    # Written before the next one began.
    assert seen == [["Some"]]
    written = json.loads((tmp_path / "report.json").read_text())
    assert [row["what"] for row in written["tables"]["Some"]] == ["first", "last"]
    assert len(written["remarks"]) == 1
    assert "| last | 2.0 | img/s | 2.00 |" in (tmp_path / "report.md").read_text()


def test_a_generator_that_makes_too_large_a_file_is_refused(tmp_path: Path) -> None:
    gpu_training.check_width(24, 128)
    with refused("kit-too-large"):
        gpu_training.check_width(64, 128)
    assert gpu.main(["--train", "1", "--train-width", "64", "--size", "128", "--out", str(tmp_path)]) == 2


@pytest.mark.long
def test_a_kit_is_run_without_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_kit, "_download", lambda folder: "no wheels")
    kit = tmp_path / "kit"
    gpu_kit.pack(kit, faces=2, photographs=1, rows=32)
    assert gpu_kit.size_of(kit) < gpu_kit.LARGEST
    arguments = ["--data", "data", "--parts", "gradients", "--eager", "--seconds", "0.05", "--out", "out"]
    code = f"from tests.benchmarks import gpu; raise SystemExit(gpu.main({arguments!r}))"
    program = BLOCKED.format(absent=ABSENT) + code
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.')\n{program}"], cwd=kit
    )
    assert done.returncode == 0
    assert json.loads((kit / "out" / "report.json").read_text())["tables"]


def test_a_kit_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_kit, "_download", lambda folder: "no wheels")
    monkeypatch.setattr(gpu_kit, "LARGEST", 1000)
    with refused("kit-too-large"):
        gpu_kit.pack(tmp_path / "kit", faces=1, photographs=1, rows=14)
    with refused("folder-not-empty"):
        gpu_kit.pack(tmp_path / "kit")
