"""The command line: ``attgan COMMAND --option value``. The options of a command are the fields of its settings model.

Exit codes: 2 after a refusal, 1 if the work failed, 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

from cyclopts import App, Parameter

from attgan.errors import UserError
from attgan.version import VERSION
from flows.operate.stack_choice import adopt_stack, become, ensure_stack, stack_for
from flows.runtime.exits import ending_signal, exit_code, fail, noticing_ctrl_c
from flows.runtime.terminal import print_line, print_mapping, print_rows
from flows.settings import (
    AlignSettings,
    BenchSettings,
    ClassifierSettings,
    DemoSettings,
    DemoTrainingSettings,
    DeploySettings,
    EditSettings,
    EvaluateSettings,
    ExportSettings,
    ImportWeightsSettings,
    IngestSettings,
    InitSettings,
    MakeDefaultSettings,
    PipelineSettings,
    PreviewSettings,
    ReportSettings,
    ScheduleSettings,
    SubsetSettings,
    SweepSettings,
    TrainSettings,
)

_RESUMABLE = (
    "subset",
    "ingest",
    "edit",
    "train",
    "align",
    "train-classifier",
    "sweep",
    "pipeline",
    "make-default",
)

app = App(
    name="attgan",
    help="Adds eyeglasses to faces at scale: AttGAN batch jobs on Prefect and Ray, S3 to S3.",
    version=VERSION,
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), negative_bool=()),
    suppress_keyboard_interrupt=False,
)


# Former names of options, which are still accepted.
_RENAMED = {"--judge": "--evaluator"}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the ``attgan`` command."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    with noticing_ctrl_c() as interrupted:
        try:
            renamed = [_renamed(argument) for argument in arguments]
            app(renamed, exit_on_error=False, print_error=False, result_action="return_value")
        except BaseException as error:
            number = ending_signal(error, interrupted)
            if number is not None:
                line = "interrupted" if number == signal.SIGINT else "terminated"
                if arguments and arguments[0] in _RESUMABLE:
                    line += "; the same command resumes where it stopped"
                return fail(line, 128 + number)
            return exit_code(error)
    return 0


def _renamed(argument: str) -> str:
    """An argument of the command line, with the present name of its option."""
    name, equals, value = argument.partition("=")
    return f"{_RENAMED.get(name, name)}{equals}{value}"


@app.command
def up(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Start the local stack: Prefect server and UI, S3 server, Ray head, worker."""
    become("infra", "up", *options)


@app.command
def status(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Show the services of the local stack: their addresses, and whether they are healthy."""
    become("infra", "status", *options)


@app.command
def down(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Cancel the runs that are at work, and stop the local stack. Its data and logs stay."""
    become("infra", "down", *options)


@app.command
def doctor(
    *places: Annotated[
        str, Parameter(help="URLs of buckets or folders that runs will write to.", show_default=False)
    ],
) -> None:
    """Check what is installed, what can be reached from here, and what is missing. Exit code 1 if anything is."""
    adopt_stack()
    from flows.operate.doctor import examine

    healthy, rows = examine(places)
    print_rows("Health", rows)
    if not healthy:
        sys.exit(1)


for _command in ("up", "status", "down"):
    # These commands pass --help on to the stack's own command line.
    app[_command].help_flags = ()
    app[_command].version_flags = ()


@app.command
def subset(*, settings: Annotated[SubsetSettings, Parameter(name="*")]) -> None:
    """Make a dataset of Parquet parts from CelebA, or from images in its layout."""
    adopt_stack()
    from flows.dataset import subset as subset_room

    if settings.dry_run:
        print(subset_room.describe(settings))
        return
    from flows.runtime.running import run_from_terminal

    print_mapping("Dataset", run_from_terminal(subset_room.subset, settings=settings))


@app.command
def ingest(*, settings: Annotated[IngestSettings, Parameter(name="*")]) -> None:
    """Make a dataset from Parquet tables of images and labels. Runs in this process."""
    adopt_stack()
    from flows.dataset import ingest as tables

    if settings.dry_run:
        print_rows("What this run would make", tables.describe(settings))
        return
    print_mapping("Dataset", tables.ingest(settings))


@app.command
def train(*, settings: Annotated[TrainSettings, Parameter(name="*")]) -> None:
    """Train AttGAN with one of the strategies, from a bundle or from scratch."""
    _train("train", settings)


@app.command
def align(*, settings: Annotated[AlignSettings, Parameter(name="*")]) -> None:
    """Train a discriminator against the frozen generator of a bundle."""
    _train("align", settings)


@app.command
def train_classifier(*, settings: Annotated[ClassifierSettings, Parameter(name="*")]) -> None:
    """Train an attribute classifier, which predicts the attributes of unlabelled faces, and add it to a bundle."""
    _train("train-classifier", settings)


def _train(name: str, settings: TrainSettings | AlignSettings | ClassifierSettings) -> None:
    adopt_stack()
    from flows.training.kinds import KINDS

    kind = KINDS[name]
    if settings.dry_run:
        print_rows("What this training would do", kind.plan_rows(kind.prepare(settings)))
        return
    from flows.runtime.running import run_from_terminal
    from flows.training.flow import FLOWS

    kind.show(run_from_terminal(FLOWS[name], settings=settings))


@app.command
def sweep(*, settings: Annotated[SweepSettings, Parameter(name="*")] = SweepSettings()) -> None:  # noqa: B008
    """Fine-tune for one attribute over a grid or a search of training settings, in parallel, and compare the results.

    Without --dataset, faces are drawn. If then no local stack is up and no other is named, one is started for this
    command alone.
    """
    if settings.dry_run:
        adopt_stack()
        from flows.sweep.plan import describe

        print_rows("What this sweep would do", describe(settings))
        return
    stack_for("sweep", settings, own=settings.dataset is None)
    from flows.runtime.running import run_from_terminal
    from flows.sweep import flow
    from flows.sweep.results import display

    display.show(run_from_terminal(flow.sweep, settings=settings))


@app.command
def pipeline(*, settings: Annotated[PipelineSettings, Parameter(name="*")] = PipelineSettings()) -> None:  # noqa: B008
    """Make a dataset, align a discriminator, run a sweep, and edit images with the best model.

    Without --source, faces are drawn. If then no local stack is up and no other is named, one is started for this
    command alone.
    """
    if settings.dry_run:
        adopt_stack()
        from flows.pipeline import describe

        print_rows("What the pipeline would do", describe(settings))
        return
    stack_for("pipeline", settings, own=settings.source is None)
    from flows.pipeline import pipeline as run_pipeline
    from flows.runtime.running import run_from_terminal

    print_mapping("Pipeline", run_from_terminal(run_pipeline, settings=settings))


@app.command
def edit(
    settings: Annotated[EditSettings, Parameter(name="*")],
    *,
    slide: Annotated[
        bool,
        Parameter(
            help="For one photograph, write one picture with its faces at rising intensities, to choose from."
        ),
    ] = False,
) -> None:
    """Edit every face below a prefix, and write the results below another one. One photograph needs no server."""
    from flows.edit.one_file import describe_row, edit_file, is_one_file, slide_file

    if is_one_file(settings):
        if settings.dry_run:
            raise UserError(
                "dry-run-needs-folder",
                f"--dry-run: --source {settings.source} is one photograph, not a folder",
            )
        print_line(slide_file(settings) if slide else describe_row(edit_file(settings)))
        return
    if slide:
        raise UserError(
            "slide-needs-photograph",
            f"--slide: needs one photograph, and --source {settings.source} is none",
        )
    adopt_stack()
    if settings.dry_run:
        from flows.edit.job import resolve
        from flows.edit.plan.dry_run import describe

        print_rows("What this run would do", describe(resolve(settings)))
        return
    from flows.edit import flow
    from flows.edit.report import report
    from flows.runtime.running import run_from_terminal

    report.show(run_from_terminal(flow.edit, settings=settings))


@app.command
def evaluate(*, settings: Annotated[EvaluateSettings, Parameter(name="*")]) -> None:
    """Measure on held-out faces whether the glasses of a bundle look real. Runs in this process."""
    adopt_stack()
    from flows.evaluation import evaluate as evaluation
    from flows.evaluation import report

    report.show(evaluation.evaluate(settings))


@app.command
def report(settings: Annotated[ReportSettings, Parameter(name="*")]) -> None:
    """Show the report of an edit run."""
    adopt_stack()
    from flows.edit.report import finish, report

    report.show(finish.find_report(settings))


@app.command
def runs(destination: Annotated[str, Parameter(help="URL or path that edits have written to.")]) -> None:
    """List the edit runs at a destination."""
    adopt_stack()
    from flows.edit.plan.runs import show_runs

    print_rows(f"Runs at {destination}", show_runs(destination))


@app.command
def preview(settings: Annotated[PreviewSettings, Parameter(name="*")]) -> None:
    """Write one HTML page of an edit run, with faces before and after, the least convincing first."""
    adopt_stack()
    from flows.evaluation.preview import write_preview

    print_mapping("Preview", write_preview(settings))


@app.command
def deploy(*, settings: Annotated[DeploySettings, Parameter(name="*")] = DeploySettings()) -> None:  # noqa: B008
    """Register the flows as deployments, which the workers of a Prefect server run. May be repeated."""
    adopt_stack()
    from flows.deploy import deployments

    deployments.show(deployments.deploy(settings))


schedule = App(name="schedule", help="Show or set the schedules of deployments.")
app.command(schedule)


@schedule.default
def show_schedules(
    deployment: Annotated[
        str | None, Parameter(help="Only the schedules of this one.", show_default=False)
    ] = None,
    /,
) -> None:
    """Show the schedules of deployments; `attgan schedule edit --help` lists what can be set."""
    adopt_stack()
    from flows.deploy import schedule as times

    print_rows("Schedules", times.schedules(deployment))


@schedule.command(name="edit")
def set_schedule(
    *,
    settings: Annotated[ScheduleSettings, Parameter(name="*")] = ScheduleSettings(),  # noqa: B008
) -> None:
    """Set the schedule of the edit flow, and the options of its runs. What is not given stays as it is."""
    adopt_stack()
    from flows.deploy import schedule as times

    print_rows("Schedules", times.set_schedule(settings))


@app.command
def import_weights(*, settings: Annotated[ImportWeightsSettings, Parameter(name="*")]) -> None:
    """Turn a published AttGAN-PyTorch checkpoint (.pth) into a bundle."""
    adopt_stack()
    from flows.training import weights

    print_rows(settings.destination, weights.import_weights(settings))


@app.command
def export(*, settings: Annotated[ExportSettings, Parameter(name="*")]) -> None:
    """Copy a bundle for distribution: with half-precision weights, and without what only training needs."""
    adopt_stack()
    from flows.training import weights

    print_rows(settings.destination, weights.export(settings))


@app.command
def make_default(*, settings: Annotated[MakeDefaultSettings, Parameter(name="*")]) -> None:
    """Make the bundle that is shipped, from tables of faces that may be shipped. Runs in this process, for hours."""
    from flows.training import default_bundle

    print_rows(settings.destination, default_bundle.make_default(settings))


@app.command
def init(*, settings: Annotated[InitSettings, Parameter(name="*")]) -> None:
    """Make a bundle with an untrained generator, to try the commands with."""
    adopt_stack()
    from flows.training import weights

    print_rows(settings.destination, weights.init(settings))


@app.command
def bench(*, settings: Annotated[BenchSettings, Parameter(name="*")] = BenchSettings()) -> None:  # noqa: B008
    """Measure the rate that each stage of an edit can reach on this machine or cluster, and that of the edit flow.

    Without --destination it works on the local stack, and where none is up starts one for itself.
    """
    if settings.destination is None:
        ensure_stack("bench", settings)
    else:
        stack_for("bench", settings, own=True)
    from flows.bench.bench import run_bench
    from flows.bench.report import show

    show(run_bench(settings))


@app.command
def demo(*, settings: Annotated[DemoSettings, Parameter(name="*")] = DemoSettings()) -> None:  # noqa: B008
    """Draw faces, put them on S3, make a dataset, edit the faces with Prefect on Ray, and show the result.

    Uses the local stack if it is up. Otherwise one is started for this command, on free ports, and stopped at its end.
    Whatever the environment names, no other server, bucket or cluster is used.
    """
    ensure_stack("demo", settings)
    from flows.demo.edit_demo import run_demo

    run_demo(settings)


@app.command
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


if __name__ == "__main__":
    main()
