"""One trial, in its own process somewhere in the cluster: Ray Tune's end of a training.

Tune is told what the training says, and can stop it; it keeps nothing. What the trial needs to go on lies in its
folder: the run's checkpoints, and ``trial.json``.
"""

from __future__ import annotations

import contextlib
import platform
import queue
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray.tune import PlacementGroupFactory, Trainable

from attgan.errors import Diverged, UserError
from flows.settings import TrainSettings
from flows.storage import PreconditionFailed, StorageError, open_store
from flows.sweep.records import (
    EARLY,
    State,
    finite,
    new_record,
    read_checks,
    read_record,
    write_record,
)

if TYPE_CHECKING:
    from attgan.training.run_folder.progress import Progress

BEAT = 1.0  # seconds: how long a trial without news keeps Tune waiting, and a stop with it
GRACE = 18.0  # seconds for the step under way and a checkpoint, when everything is to end
PATIENCE = 300.0  # seconds for the same, when the others go on

News = dict[str, Any]


class TrialActor(Trainable):
    """What Tune makes an actor of. Its configuration is a trial in plain JSON, as :func:`flows.sweep.tuning.payload`.

    The training has a thread of its own, and the actor's main thread looks on: so a stop arrives within a second,
    however long a step takes, and there is time for a checkpoint before the process ends.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """What a trial asks of its node."""
        return PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"]}])

    def setup(self, config: dict[str, Any]) -> None:
        """Begin, or go on."""
        self._training = Training(config)

    def step(self) -> News:
        """The next thing that the training has to say, or that there is nothing new.

        Raises:
            Exception: what the training raised, if another attempt may help.
        """
        return self._training.next()

    def cleanup(self) -> None:
        """End the training after its step and a checkpoint, if it still runs."""
        self._training.stop()


class Training:
    """A training in a thread, and what it says in a queue.

    Args:
        config: ``number, url, label, changes`` of the trial, the training's ``settings``, the ``metric`` that is
            compared, and whether the training ``waits`` after each validation until somebody has decided about it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._news: queue.SimpleQueue[News | BaseException] = queue.SimpleQueue()
        self._stopping, self._decided = threading.Event(), threading.Event()
        self._undecided = False  # whether the last news was a validation that Tune may be thinking about
        self._told: dict[str, Any] = {}  # the numbers of the last validation that was told
        self._told_step = -1
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    def next(self) -> News:
        """Wait for news, for a second.

        Raises:
            Exception: what the training raised, if another attempt may help.
        """
        if self._undecided:  # Tune asks for more: so what it saw last lets the training go on
            self._undecided = False
            self._decided.set()
        try:
            news = self._news.get(timeout=BEAT)
        except queue.Empty:
            return {"number": self._config["number"]}
        if isinstance(news, BaseException):
            raise news
        self._undecided = "numbers" in news
        return {"number": self._config["number"]} | news

    def stop(self) -> None:
        """Ask it to stop, and wait for its checkpoint."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE if self._early_reason() else GRACE)

    def _run(self) -> None:
        try:
            self._news.put(self._train())
        except BaseException as error:  # a bug, or trouble that may go away: Tune tries again
            self._news.put(error)

    def _train(self) -> News:
        """Train from the last checkpoint, and say in the trial's record how it ended."""
        from flows.training.train.trial import (
            train_trial,
        )  # torch is loaded here, not by who looks at the class

        settings = TrainSettings.model_validate(self._config["settings"])
        self._store = open_store(self._config["url"], option="--destination")
        record = read_record(self._store) or new_record(
            self._config["number"], self._config["changes"], self._config["label"]
        )
        record |= {
            "state": "running",
            "reason": "",
            "node": platform.node(),
            "attempts": record["attempts"] + 1,
        }
        mine = write_record(self._store, record)
        self._store.delete(EARLY)  # of a process that was killed before it could obey
        began, step = time.monotonic(), 0
        state: State
        try:
            outcome = train_trial(settings, should_stop=self._stopping.is_set, on_progress=self._tell)
            state, reason, step = "finished", outcome["reason"], outcome["step"]
            if outcome["ended"] != "finished":
                early = self._early_reason()  # else it goes on another time
                state, reason = ("stopped_early", early) if early else ("interrupted", reason)
        except Diverged as error:
            state, reason = "diverged", str(error)
        except UserError as error:
            state, reason = "failed", str(error)
            # A full disk is one too, but not for ever.
            record["mistake"] = not isinstance(error.__context__, OSError)
        record |= {"state": state, "reason": reason}
        record["seconds"] = round(record["seconds"] + time.monotonic() - began, 3)
        with contextlib.suppress(
            PreconditionFailed
        ):  # another process has taken the trial over: it speaks for it
            write_record(self._store, record, if_match=mine)
        return {"state": state, "step": step, "note": reason, "done": True}

    def _early_reason(self) -> str | None:
        """Why the driver stops this trial before the others; None if it does not. It says so before it does."""
        if not self._config["waits"]:
            return None
        try:
            return open_store(self._config["url"]).get(EARLY).data.decode()
        except (FileNotFoundError, StorageError):
            return None

    def _tell(self, progress: Progress) -> None:
        """Hand on what the training says. Where somebody decides, each validation waits for the decision."""
        news = {"state": "running", "step": progress.step, "steps": progress.steps, "note": progress.note}
        if progress.check == self._told:
            if progress.state == "training":  # its end is told when it has come
                self._news.put(news)
            return
        self._told = dict(progress.check)
        # Those before the checkpoint too: Tune has forgotten them, if it ever knew.
        for check in read_checks(self._store):
            if check["step"] > self._told_step and not self._stopping.is_set():
                self._told_step = check["step"]
                self._tell_check(news, check)

    def _tell_check(self, news: News, check: Mapping[str, Any]) -> None:
        numbers = {name: finite(value) for name, value in check.items() if name not in ("kind", "step")}
        metric = self._config["metric"]
        value = numbers.get(metric)
        self._decided.clear()
        told = news | {"step": check["step"], "numbers": numbers}
        self._news.put(told if value is None else told | {metric: value})
        while self._config["waits"] and not self._decided.wait(BEAT / 10) and not self._stopping.is_set():
            pass
