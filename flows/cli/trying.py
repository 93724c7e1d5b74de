"""Commands to try the project with, and to measure it: demo, train-demo, bench. They can start a stack themselves."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Group, Parameter

from flows.operate.stack_choice import adopt_stack, ensure_stack, stack_for
from flows.settings import BenchSettings, DemoSettings, DemoTrainingSettings

_GROUP = Group("Trying and measuring", sort_key=5)


def add_to(app: App) -> None:
    """Add these commands to the command line."""
    for command in (demo, train_demo, bench):
        app.command(command, group=_GROUP)


def bench(*, settings: Annotated[BenchSettings, Parameter(name="*")] = BenchSettings()) -> None:  # noqa: B008
    """Measure the rate that each stage of an edit can reach on this machine or cluster, and that of the edit flow.

    Without --destination it works on the local stack, and where none is up starts one for itself.
    """
    if settings.rates is not None:
        adopt_stack()
        from flows.bench.estimates import read_measured
        from flows.bench.report import show_what_if

        show_what_if(settings, read_measured(settings.rates))
        return
    if settings.destination is None:
        ensure_stack("bench", settings)
    else:
        stack_for("bench", settings, own=True)
    from flows.bench.bench import run_bench
    from flows.bench.report import finish

    finish(settings, run_bench(settings))


def demo(*, settings: Annotated[DemoSettings, Parameter(name="*")] = DemoSettings()) -> None:  # noqa: B008
    """Draw faces, put them on S3, make a dataset, edit the faces with Prefect on Ray, and show the result.

    Uses the local stack if it is up. Otherwise one is started for this command, on free ports, and stopped at its end.
    Whatever the environment names, no other server, bucket or cluster is used.
    """
    ensure_stack("demo", settings)
    from flows.demo.edit_demo import run_demo

    run_demo(settings)


def train_demo(
    *,
    settings: Annotated[DemoTrainingSettings, Parameter(name="*")] = DemoTrainingSettings(),  # noqa: B008
) -> None:
    """Train on drawn faces: from scratch, align, fine-tune for eyeglasses, and measure against true pairs.

    Uses or starts a stack as `attgan demo` does.
    """
    ensure_stack("train-demo", settings)
    from flows.demo.train_demo import run_train_demo

    run_train_demo(settings)
