"""Commands about edited images: edit, and what was edited."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import App, Group, Parameter

from attgan.errors import UserError
from flows.operate.stack_choice import adopt_stack
from flows.runtime.terminal import print_line, print_mapping, print_rows
from flows.settings import (
    EditSettings,
    EstimateSettings,
    EvaluateSettings,
    ForgetSettings,
    PreviewSettings,
    PruneSettings,
    ReportSettings,
    UndoSettings,
)
from flows.urls import parse_url

_GROUP = Group("Editing", sort_key=1)


def add_to(app: App) -> None:
    """Add these commands to the command line."""
    for command in (edit, report, runs, preview, evaluate, undo, forget, prune):
        app.command(command, group=_GROUP)


def edit(
    settings: Annotated[EditSettings, Parameter(name="*")],
    *,
    estimates: Annotated[EstimateSettings, Parameter(name="*")] = EstimateSettings(),  # noqa: B008
    slide: Annotated[
        bool,
        Parameter(
            help="For one photograph, write one picture with its faces at rising intensities, to choose from."
        ),
    ] = False,
) -> None:
    """Edit every face below a prefix, and write the results below another one. One photograph needs no server."""
    if _is_one_file(settings):
        if settings.dry_run:
            raise UserError(
                "dry-run-needs-folder",
                f"--dry-run: --source {settings.source} is one photograph, not a folder",
            )
        from flows.edit.one_file import describe_row, edit_file, slide_file

        print_line(slide_file(settings) if slide else describe_row(edit_file(settings)))
        return
    if slide:
        raise UserError(
            "slide-needs-photograph",
            f"--slide: needs one photograph, and --source {settings.source} is none",
        )
    adopt_stack()
    if settings.dry_run:
        from flows.bench.estimates import show_estimates
        from flows.edit.job import resolve
        from flows.edit.plan.dry_run import dry_run

        found = dry_run(resolve(settings))
        print_rows("What this run would do", found.rows)
        show_estimates(estimates, settings, found.images)
        return
    from flows.edit import flow
    from flows.edit.report import tables
    from flows.runtime.running import run_from_terminal

    tables.show(run_from_terminal(flow.edit, settings=settings))


def _is_one_file(settings: EditSettings) -> bool:
    """Whether the source is a file on this disk and not a folder.

    Raises:
        UserError: it is a path on this disk, and nothing is there.
    """
    source = parse_url(settings.source)
    if source.bucket is None and not os.path.exists(source.path):
        raise UserError("file-missing", f"--source {settings.source}: there is no such file or folder")
    return os.path.isfile(settings.source)


def report(settings: Annotated[ReportSettings, Parameter(name="*")]) -> None:
    """Show the report of an edit run."""
    adopt_stack()
    from flows.edit.report import tables
    from flows.edit.report.finished_runs import find_report

    tables.show(find_report(settings))


def runs(destination: Annotated[str, Parameter(help="URL or path that edits have written to.")]) -> None:
    """List the edit runs at a destination."""
    adopt_stack()
    from flows.edit.plan.runs import show_runs

    print_rows(f"Runs at {destination}", show_runs(destination), whole=["began"])


def preview(settings: Annotated[PreviewSettings, Parameter(name="*")]) -> None:
    """Write one HTML page of an edit run, with faces before and after, the least convincing first."""
    adopt_stack()
    from flows.evaluation.preview import write_preview

    print_mapping("Preview", write_preview(settings))


def evaluate(*, settings: Annotated[EvaluateSettings, Parameter(name="*")]) -> None:
    """Measure on held-out faces whether the glasses of a bundle look real. Runs in this process."""
    adopt_stack()
    from flows.evaluation import evaluate as evaluation
    from flows.evaluation import report

    report.show(evaluation.evaluate(settings))


def undo(settings: Annotated[UndoSettings, Parameter(name="*")]) -> None:
    """Remove the outputs that an edit run wrote, so that its images are planned again."""
    adopt_stack()
    from flows.operate import removing
    from flows.operate.undo import undo as undo_run

    run, outcome = undo_run(settings)
    removing.show(f"run {run.run_id}", outcome, dry_run=settings.dry_run)


def forget(settings: Annotated[ForgetSettings, Parameter(name="*")]) -> None:
    """Remove the outputs of images that were deleted from their source, and what reports show of them."""
    adopt_stack()
    from flows.operate import removing

    outcome = removing.forget_keys(settings)
    removing.show("forget", outcome, dry_run=settings.dry_run, with_removed=True)


def prune(settings: Annotated[PruneSettings, Parameter(name="*")]) -> None:
    """Remove old files of edit runs that nothing needs any more: plans, pictures, lists of ignored keys."""
    adopt_stack()
    from flows.operate.prune import prune as prune_runs

    title = "What would be removed" if settings.dry_run else "Removed"
    print_rows(title, prune_runs(settings))
