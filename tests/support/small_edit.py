"""An edit of small files without any network: planned, written and recorded as by the flow."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from attgan.errors import DataError
from flows.edit.job import resolve
from flows.edit.plan.prepared_run import NothingToDo, prepare
from flows.edit.report.finish import finish
from flows.edit.shard.one_shard import close_shard, open_shard
from flows.edit.shard.writing import put
from flows.settings import EditSettings, InitSettings
from flows.storage import join, open_store
from flows.training.weights import init


class SmallEdit:
    """A place with ``in``, ``out`` and a bundle. The "edit" of an image is its content behind a few words."""

    def __init__(self, url: str, bundle: str) -> None:
        self.url, self.bundle = url, bundle
        self.source, self.destination = open_store(join(url, "in")), open_store(join(url, "out"))

    def put(self, **contents: str) -> None:
        """Write images into the source."""
        for name, content in contents.items():
            self.source.put(f"{name}.jpg", content.encode())

    def settings(self, **options: Any) -> EditSettings:
        places = {"source": self.source.url, "destination": self.destination.url, "bundle": self.bundle}
        return EditSettings.model_validate(places | options)

    def run(
        self,
        *,
        failing: Collection[str] = (),
        shards: int | None = None,
        ledgers: bool = True,
        **options: Any,
    ) -> str | None:
        """Edit what is new; returns the run's id, or None where nothing was.

        Args:
            failing: keys of images that cannot be used.
            shards: edit only so many of them, and leave the run unfinished.
            ledgers: whether the last shard gets its ledger, or its process dies before.
            options: further settings.
        """
        settings = self.settings(**options)
        prepared = prepare(resolve(settings))
        if isinstance(prepared, NothingToDo):
            return None
        todo = list(prepared.todo)[:shards]
        summaries = []
        for number in todo:
            shard = open_shard(prepared.run.url, number, settings, prepared.todo[number].generation)
            for item in shard.items:
                if item.row.key in failing:
                    item.fail(DataError("decode", "no image"))
                else:
                    item.data = b"with glasses: " + self.source.get(item.row.key).data
                put(item, shard.job)
            if ledgers or number != todo[-1]:
                summaries.append(close_shard(shard, {}, 0.0))
        if shards is None:
            finish(prepared, summaries, 0.0)
        return prepared.run.run_id

    def outputs(self) -> set[str]:
        """The names of the outputs, without ``.jpg``."""
        return {
            info.key.removesuffix(".jpg") for info in self.destination.list() if not info.key.startswith("_")
        }


def make_small_edit(folder: Path) -> SmallEdit:
    """A place on disk."""
    init(InitSettings(destination=str(folder / "bundle"), image_size=64, width=4))
    for name in ("in", "out"):
        (folder / name).mkdir()
    return SmallEdit(str(folder), str(folder / "bundle"))
