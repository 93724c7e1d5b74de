"""A shard whose process has died repeatedly: edit it in child processes, first in batches, then image by image.

This process decodes no image. A child process edits the shard batch by batch, with the same code as for any other
shard, so that the outputs have the same bytes. If it dies on a batch, another child gets the images of that batch one
at a time. An image that kills its process twice while it is alone in it is recorded as failed, and the shard continues
without it. A child that does not answer for ``stall_timeout`` is killed, which counts as its death. But if another
image cannot even be read, the storage hangs, and no image is at fault.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from attgan.errors import DataError
from flows.edit.ledger import Summary
from flows.edit.shard.child import Child, Death, IsolationError, start_child
from flows.edit.shard.live_counts import live_counts
from flows.edit.shard.one_shard import Shard, close_shard, open_shard
from flows.settings import EditSettings, seconds_of

DEATHS_ALONE = 2
"""How many processes may die of one image, each with this image alone, before the image is recorded as failed."""

IMAGE_SECONDS = 60
"""CPU time that an image may take besides its pass through the network. An endless loop is killed after it."""

FURTHER_SECONDS = 2
"""CPU time for each further image of a batch. If that is too little, the batch is only split into single images."""

START_SECONDS = 10 * 60
"""Time for a child to load the model and edit a grey face."""

STARTS = 3
"""How many children may die in a row before they receive an image. Then no image is at fault."""


def edit_shard_in_isolation(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """Edit one planned shard and write its ledger, as :func:`~.one_shard.edit_shard`, but in child processes.

    An image that kills its process becomes a row that failed at stage ``process``.

    Raises:
        StorageError: the storage failed after its retries, here or in a child.
        UserError: the bundle was replaced, or a library on this machine has another version than at the run's start.
        IsolationError: a child ended for another reason than an image.
    """
    started = time.perf_counter()
    opened = open_shard(run_url, shard, settings, generation)
    children = _Children(opened)
    count, size = len(opened.items), opened.job.model.batch_size
    with contextlib.closing(children), live_counts(run_url, shard, opened.kept) as add:
        for start in range(0, count, size):
            batch = range(start, min(start + size, count))
            _edit_batch(batch, opened, children)
            add((opened.items[index] for index in batch), children.seconds)
    return close_shard(opened, children.seconds, time.perf_counter() - started, isolated=True)


def _edit_batch(batch: range, shard: Shard, children: _Children) -> None:
    try:
        if children.edit(batch) is None:
            return
    except IsolationError:
        # Memory may run out in one image because another one of the batch holds it all. Alone, the cause is clear.
        if len(batch) == 1:
            raise
    for index in batch:
        death: Death | None = None
        for _ in range(DEATHS_ALONE):
            death = children.edit([index])
            if death is None:
                break
        if death is not None:
            if death.hung:
                children.read(index - 1 if index else len(shard.items) - 1)
            item = shard.items[index]
            item.fail(DataError("process", death.reason))
            item.row.attempts += DEATHS_ALONE - 1


@dataclass
class _Children:
    """A child process, replaced by a new one when it dies.

    Attributes:
        shard: the shard that they edit, and whose rows they fill in.
        seconds: busy time per stage, as reported by all children.
        child: the current process, if any.
    """

    shard: Shard
    seconds: Counter[str] = field(default_factory=Counter)
    child: Child | None = None

    def edit(self, indexes: Sequence[int]) -> Death | None:
        """Let the child edit these items of the shard and record their rows.

        Returns:
            What the child died of, and then nothing is recorded; None if it did not die.
        """
        self.child = self.child or self._start()
        limit = IMAGE_SECONDS + FURTHER_SECONDS * (len(indexes) - 1)
        try:
            answer = self.child.ask({"edit": list(indexes), "cpu_seconds": limit}, self._patience)
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

    def read(self, index: int) -> None:
        """Let the child read this item of the shard.

        Raises:
            IsolationError: it died, or did not answer.
        """
        self.child = self.child or self._start()
        answer = self.child.ask({"read": index}, self._patience)
        if isinstance(answer, Death):
            self.child = None
            raise IsolationError(
                f"{self.shard.items[index].row.key}: the storage hangs, also when only this is read"
            )

    @property
    def _patience(self) -> float:
        return seconds_of(self.shard.job.settings.stall_timeout)

    def _start(self) -> Child:
        order = {
            "run_url": self.shard.store.url,
            "shard": self.shard.number,
            "generation": self.shard.generation,
            "settings": self.shard.job.settings.model_dump(mode="json"),
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
        raise IsolationError(f"{STARTS} processes died before they received an image; the last one: {last}")

    def close(self) -> None:
        """End the current process."""
        if self.child is not None:
            self.child.end()
            self.child = None
