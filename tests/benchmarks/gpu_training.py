"""Steps of `train` on a GPU, by the functions that the loop calls, beside naive ones; a training of some minutes."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from attgan.data.loading.loader import Faces
from attgan.errors import UserError
from attgan.models import Generator, GeneratorConfig, load_bundle
from attgan.models.default import default_bundle_path
from attgan.training import attgan_learner
from attgan.training.networks import Networks
from attgan.training.plan import Card, TrainingPlan
from attgan.training.trainer import choose, make_plan
from flows.settings import ExportSettings, TrainSettings
from flows.training.data import open_data
from flows.training.start import Start, make_start
from flows.training.trial import train_trial
from flows.training.weights import export
from tests.benchmarks.gpu_measuring import Bench, Measurement, Precision, climb, halving, numbers
from tests.benchmarks.table import Row
from tests.benchmarks.training_steps import Case, naive_steps

# Discriminator steps for each of the generator's.
CYCLE = 3


@dataclass(frozen=True)
class Data:
    """What a training starts with."""

    settings: TrainSettings
    start: Start
    faces: Faces


@contextlib.contextmanager
def training_data(bench: Bench) -> Iterator[Data]:
    """Fresh networks and the dataset, as a training opens them."""
    settings = TrainSettings(
        dataset=bench.dataset,
        destination=str(bench.scratch / "never written"),
        width=bench.width,
        size=bench.size,
        strategy="permutation",
        validation_images=16,
        gpus=int(bench.on_gpu),
    )
    start = make_start(settings)
    with open_data(settings, bench.size, start.attributes, threads=bench.cpus) as faces:
        yield Data(settings, start, faces)


def training(bench: Bench) -> Iterator[Measurement]:
    """A step of each network by precision, compiled or not, and batch, and the cycle of three to one."""
    with training_data(bench) as data:
        # What is compiled takes long to begin, so it comes last.
        variants = sorted(bench.variants(), key=lambda variant: variant[1])
        yield from climb(variants, bench.train_batch, bench.train_batches, partial(_step_rows, bench, data))


def _step_rows(bench: Bench, data: Data, precision: Precision, compiled: bool, batch: int) -> list[Row]:
    naive = _naive_training(bench, batch)
    with numbers(precision):
        plan = _plan(bench, data, precision, batch)
        if compiled:
            _compile(plan.networks)
        rates = {name: bench.rate(step, batch) for name, step in steps_of(plan).items()}
    rates["cycle of 3:1"] = _cycle(rates["discriminator"], rates["generator"])
    naive["cycle of 3:1"] = _cycle(naive["discriminator"], naive["generator"])
    kind = f"{precision}, {'compiled' if compiled else 'eager'}, batch {batch}"
    note = "all but the penalty compiled" if compiled else ""
    return [
        Row(f"{name}, {kind}", rate, "img/s", "naive loop", naive[name], bench.peak(), note)
        for name, rate in rates.items()
    ]


def steps_of(plan: TrainingPlan) -> dict[str, Callable[[], object]]:
    """The steps of a training that is about to begin, each on the same batch."""
    with contextlib.closing(attgan_learner.open_stream(plan, "source", plan.source_rows, 0)) as stream:
        placed = next(stream)
    return {
        "discriminator": lambda: attgan_learner.discriminator_step(plan, 0, placed, placed),
        "generator": lambda: attgan_learner.generator_step(plan, CYCLE, placed),
    }


def _plan(bench: Bench, data: Data, precision: Precision, batch: int) -> TrainingPlan:
    reduced = "bfloat16" if precision == "bfloat16" else "float32"
    config = data.settings.config.model_copy(update={"batch_size": batch, "precision": reduced})
    return make_plan(
        data.start.generator,
        data.start.discriminator,
        data.faces,
        config,
        choose(data.faces, config),
        card=Card("not kept", "Not kept."),
        device=bench.device,
    )


def _compile(networks: Networks) -> None:
    """Compile what can be: the penalty differentiates a gradient, which torch does not compile."""
    torch.compiler.reset()
    generator: Any = networks.generator
    generator.encode, generator.decode = torch.compile(generator.encode), torch.compile(generator.decode)
    networks.discriminator.compile()


def _naive_training(bench: Bench, batch: int) -> dict[str, float]:
    if ("training", batch) not in bench.naive:
        steps = naive_steps(Case(bench.width, bench.size, batch, bench.device))
        bench.naive["training", batch] = {
            "discriminator": bench.rate(steps.discriminator, batch),
            "generator": bench.rate(steps.generator, batch),
        }
    return dict(bench.naive["training", batch])


def _cycle(discriminator: float, generator: float) -> float:
    """Images per second over a cycle's batches."""
    return (CYCLE + 1) / (CYCLE / discriminator + 1 / generator)


def gradients(bench: Bench) -> Iterator[Measurement]:
    """How far each network's gradient is off that in float32."""
    with training_data(bench) as data:
        yield lambda: halving(bench.train_batch, partial(_gradient_rows, bench, data))[0]


def _gradient_rows(bench: Bench, data: Data, batch: int) -> list[Row]:
    rows = []
    others: tuple[Precision, ...] = ("TF32", "bfloat16") if bench.on_gpu else ("bfloat16",)
    for network in ("discriminator", "generator"):
        exact = gradient(bench, data, network, "float32", batch)
        for precision in others:
            found = gradient(bench, data, network, precision, batch)
            error = float((found - exact).norm() / exact.norm())
            cosine = float(found @ exact / (found.norm() * exact.norm()))
            note = f"batch {batch}, cosine {cosine:.4f}"
            rows.append(Row(f"{network}, {precision}", 100 * error, "% off", "float32", note=note))
    return rows


def gradient(bench: Bench, data: Data, network: str, precision: Precision, batch: int) -> torch.Tensor:
    """The gradient that a step of a training that is about to begin descends along, as one float64 vector."""
    with numbers(precision):
        plan = _plan(bench, data, precision, batch)
        steps_of(plan)[network]()
    trained = getattr(plan.networks, network).parameters()
    return torch.cat([each.grad.flatten().double().cpu() for each in trained if each.grad is not None])


# Bytes of a bundle's file.
LARGEST = 15_000_000
# Of the time, at most, goes into finding out how many steps the rest is good for.
_PROBE = 0.1
# Of that many are planned: validations, pictures and checkpoints take their time too.
_MARGIN = 0.8


def check_width(width: int, size: int) -> None:
    """Refuse a generator whose weights do not fit into a file.

    Raises:
        UserError: in float16 they are 15 MB or more.
    """
    with torch.device("meta"):
        generator = Generator(GeneratorConfig(width=width, image_size=size))
    stored = 2 * sum(tensor.numel() for tensor in generator.state_dict().values())
    if stored >= LARGEST:
        megabytes, most = stored / 1e6, LARGEST // 1_000_000
        raise UserError(
            "kit-too-large",
            f"--train-width {width}: its weights take {megabytes:,.0f} MB, of {most} MB for a file",
        )


def train_for(bench: Bench, minutes: float, width: int, out: Path) -> Iterator[Measurement]:
    """A training of so many minutes, from fresh networks; bundle, metrics and curves go to ``out``."""
    yield partial(_trained, bench, 60 * minutes, width, out)


def _trained(bench: Bench, seconds: float, width: int, out: Path) -> list[Row]:
    deadline = time.monotonic() + seconds
    asked: dict[str, Any] = {
        "dataset": bench.dataset,
        "width": width,
        "size": bench.size,
        "gpus": int(bench.on_gpu),
        "cpus": bench.cpus,
        "batch_size": bench.train_batch,
        "epochs": 1_000_000,
        "patience": 0,
        "validation_share": 0.1,
    }
    # The shipped classifier says what edited faces show, where it is of their size; else the discriminator does.
    fits = (
        load_bundle(default_bundle_path(), with_discriminator=False).config.generator.image_size == bench.size
    )
    asked |= {"judge": "default"} if fits else {"strategy": "permutation"}
    probe = Stopper(time.monotonic() + _PROBE * seconds)
    train_trial(
        TrainSettings(destination=str(bench.scratch / "probe"), max_steps=1_000_000, **asked),
        should_stop=probe,
    )
    left = deadline - time.monotonic()
    run = bench.scratch / "training"
    stopper = Stopper(deadline)
    steps = max(8, int(_MARGIN * left * probe.steps_per_second))
    outcome = train_trial(
        TrainSettings(destination=str(run), max_steps=steps, schedule="linear", **asked), should_stop=stopper
    )
    found = Path(outcome["bundle"]) if outcome["bundle"] else _latest(run / "best")
    rows = [Row("training", stopper.steps_per_second * asked["batch_size"], note=outcome["reason"])]
    if found is not None:
        export(ExportSettings(bundle=str(found), destination=str(out / "bundle")))
    for name in ("metrics.jsonl", "curves.png"):
        shutil.copy(run / name, out)
    numbers = outcome["best"] or outcome["check"]
    return rows + [Row(f"validation, {name}", value, "") for name, value in numbers.items()]


def _latest(folder: Path) -> Path | None:
    """The bundle of the last of the best steps."""
    return max(folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")), default=None)


class Stopper:
    """Says when the time is over; asked before each step, it counts them."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._asked: list[float] = []

    def __call__(self) -> bool:
        self._asked.append(time.monotonic())
        enough = len(self._asked) > 2 * (CYCLE + 1)
        return enough and self._asked[-1] > self._deadline

    @property
    def steps_per_second(self) -> float:
        """Of all cycles but the first, which warms up."""
        begun = min(CYCLE + 1, len(self._asked) - 2)
        return (len(self._asked) - 1 - begun) / (self._asked[-1] - self._asked[begun])
