"""A shard whose process has died again and again: edited in child processes, a few images at a time, then alone.

This process decodes nothing. A child of it edits the shard batch by batch, with the very code that edits any other
shard, so that its outputs have the same bytes. Where it dies on a batch, another one is given the images of that batch
one at a time; an image whose process dies twice while it has it to itself is recorded as failed, and the shard goes on
without it.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from attgan.errors import DataError
from flows.edit.child import Child, Death, IsolationError, start_child
from flows.edit.ledger import Summary
from flows.edit.shard import Shard, close_shard, open_shard
from flows.settings import EditSettings

ALONE = 2
"""How many processes may die of an image that they have to themselves before it is given up."""

IMAGE_SECONDS = 60
"""Of CPU time that an image may take beside its pass through the network: what loops for ever is killed."""

FURTHER_SECONDS = 2
"""Of CPU time that each further image of a batch may take; where that is too little, only the batch is cut up."""

SILENT_SECONDS = 30 * 60
"""Of silence after which a child is killed that uses no CPU time; a storage that fails has said so long before."""

START_SECONDS = 10 * 60
"""Within which a child has loaded the model and edited a grey face."""

STARTS = 3
"""How many children may die one after the other before they are given an image: then none is to blame."""


def edit_shard_in_isolation(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """Edit one planned shard and write its ledger as :func:`flows.edit.shard.edit_shard` does, in child processes.

    An image that kills its process becomes a row that failed at stage ``process``.

    Raises:
        StorageError: the storage failed after its retries, here or in a child.
        UserError: the bundle was replaced, or a library here is not of the version the run was begun with.
        IsolationError: a child ended for another reason than an image.
    """
    started = time.perf_counter()
    opened = open_shard(run_url, shard, settings, generation)
    children = _Children(opened)
    count, size = len(opened.items), opened.run.settings.batch_size
    with contextlib.closing(children):
        for start in range(0, count, size):
            _edit_batch(range(start, min(start + size, count)), opened, children)
    return close_shard(opened, children.seconds, time.perf_counter() - started, isolated=True)


def _edit_batch(batch: range, shard: Shard, children: _Children) -> None:
    try:
        if children.edit(batch) is None:
            return
    except IsolationError:  # an image that takes all memory is not the one that misses it: alone it is
        if len(batch) == 1:
            raise
    for index in batch:
        death: Death | None = None
        for _ in range(ALONE):
            death = children.edit([index])
            if death is None:
                break
        if death is not None:
            item = shard.items[index]
            item.fail(DataError("process", death.reason))
            item.row.attempts += ALONE - 1


@dataclass
class _Children:
    """One child after the other, each until it dies.

    Attributes:
        shard: what they edit; they fill its rows.
        seconds: per stage, of all of them that lived to tell.
    """

    shard: Shard
    seconds: Counter[str] = field(default_factory=Counter)
    child: Child | None = None

    def edit(self, indexes: Sequence[int]) -> Death | None:
        """Have these of the shard's items edited; what the child died of, if it did, and then nothing is recorded."""
        self.child = self.child or self._start()
        limit = IMAGE_SECONDS + FURTHER_SECONDS * (len(indexes) - 1)
        try:
            answer = self.child.ask({"edit": list(indexes), "cpu_seconds": limit}, SILENT_SECONDS)
        except IsolationError:
            self.close()
            raise
        if isinstance(answer, Death):
            self.child = None
            return answer
        for index, done in zip(indexes, answer["items"], strict=True):
            item = self.shard.items[index]
            vars(item.row).update(done["row"])
            item.found = done["found"]
        self.seconds.update(answer["seconds"])
        return None

    def _start(self) -> Child:
        run = self.shard.run
        order = {
            "run_url": run.url,
            "shard": self.shard.number,
            "generation": self.shard.generation,
            "settings": run.settings.model_dump(mode="json"),
        }
        for _ in range(STARTS):
            child = start_child()
            try:
                answer = child.ask(order, START_SECONDS)
            except BaseException:
                child.end()
                raise
            if not isinstance(answer, Death):
                return child
            last = answer.reason
        raise IsolationError(f"{STARTS} processes died before they had an image; the last one: {last}")

    def close(self) -> None:
        """End the one that lives."""
        if self.child is not None:
            self.child.end()
            self.child = None
