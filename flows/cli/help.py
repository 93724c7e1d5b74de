"""Help in the order and groups of the settings: ``--help`` lists the common options, ``--help-all`` all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from cyclopts import App
from cyclopts.help import DefaultFormatter, HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions

from flows.settings import Settings
from flows.settings.durations import is_duration

ALL = "--help-all"


class SettingsHelp(DefaultFormatter):
    """Prints the options of a command as the layout of its settings arranges them."""

    def __init__(self, command: str, model: type[Settings], is_whole: Callable[[], bool]) -> None:
        """Keep what decides the help.

        Args:
            command: with its parents, as in ``schedule edit``.
            model: the command's settings.
            is_whole: whether all options are to be listed.
        """
        super().__init__()
        self._command, self._layout, self._is_whole = command, model.full_layout(), is_whole
        self._durations = {name for name, field in model.model_fields.items() if is_duration(field)}

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a panel, that of the options in parts."""
        if panel.format != "parameter":
            super().__call__(console, options, panel)
            return
        panel = panel.copy(title="Options", entries=[self._shortened(entry) for entry in panel.entries])
        entries = {_field(entry): entry for entry in panel.entries}
        grouped = {name for group in self._layout.groups for name in group.fields}
        first = [name for name in (*self._layout.common, *entries) if name in entries and name not in grouped]
        super().__call__(
            console, options, panel.copy(entries=[entries[name] for name in dict.fromkeys(first)])
        )
        if not grouped:
            return
        if not self._is_whole():
            titles = ", ".join(group.title for group in self._layout.groups)
            console.print(
                f"{len(grouped)} more options: attgan {self._command} {ALL} ({titles})", highlight=False
            )
            return
        for group in self._layout.groups:
            some = [entries[name] for name in group.fields if name in entries]
            super().__call__(
                console, options, panel.copy(title=group.title, description=group.about, entries=some)
            )

    def _shortened(self, entry: HelpEntry) -> HelpEntry:
        """An option without what goes without saying: that a switch is off, a list empty, a place in the command line.

        What a duration is, ``attgan --help`` says once.
        """
        return entry.copy(
            metavar="DURATION" if _field(entry) in self._durations else entry.metavar,
            positional_label=entry.positional_label if entry.required else None,
            default=None if entry.default in ("False", "[]", "{}") else entry.default,
        )


def arrange(app: App, is_whole: Callable[[], bool]) -> None:
    """Give each command with settings its help.

    Args:
        app: the command line.
        is_whole: whether all options are to be listed.
    """
    for names, command in _commands(app):
        if command.default_command is not None and (model := _settings(command.default_command)):
            command.help_formatter = SettingsHelp(" ".join(names), model, is_whole)


def _commands(app: App, parents: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], App]]:
    """All commands below an app, with their names."""
    found: list[tuple[tuple[str, ...], App]] = []
    for name in app:
        if not name.startswith("-"):
            path = (*parents, name)
            found += [(path, app[name]), *_commands(app[name], path)]
    return found


def _settings(command: Callable[..., Any]) -> type[Settings] | None:
    """The settings model that a command takes."""
    hint = get_type_hints(command, include_extras=True).get("settings")
    return get_args(hint)[0] if hint is not None else None


def _field(entry: HelpEntry) -> str:
    """The name of the field that an option sets."""
    return entry.positive_names[0].removeprefix("--").replace("-", "_") if entry.positive_names else ""
