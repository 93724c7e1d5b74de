"""Commands that make bundles or copy them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Group, Parameter

from flows.operate.stack_choice import adopt_stack
from flows.runtime.terminal import print_rows
from flows.settings import ExportSettings, ImportWeightsSettings, InitSettings, MakeDefaultSettings

_GROUP = Group("Bundles (trained models)", sort_key=3)


def add_to(app: App) -> None:
    """Add these commands to the command line."""
    for command in (import_weights, export, init, make_default):
        app.command(command, group=_GROUP)


def import_weights(*, settings: Annotated[ImportWeightsSettings, Parameter(name="*")]) -> None:
    """Turn a published AttGAN-PyTorch checkpoint (.pth) into a bundle."""
    adopt_stack()
    from flows.training import weights

    print_rows(settings.destination, weights.import_weights(settings))


def export(*, settings: Annotated[ExportSettings, Parameter(name="*")]) -> None:
    """Copy a bundle for distribution: with half-precision weights, and without what only training needs."""
    adopt_stack()
    from flows.training import weights

    print_rows(settings.destination, weights.export(settings))


def init(*, settings: Annotated[InitSettings, Parameter(name="*")]) -> None:
    """Make a bundle with an untrained generator, to try the commands with."""
    adopt_stack()
    from flows.training import weights

    print_rows(settings.destination, weights.init(settings))


def make_default(*, settings: Annotated[MakeDefaultSettings, Parameter(name="*")]) -> None:
    """Make the bundle that is shipped, from tables of faces that may be shipped. Runs in this process, for hours."""
    from flows.training import default_bundle

    print_rows(settings.destination, default_bundle.make_default(settings))
