"""One trial in its own process in the cluster: a training as a Trainable of Ray Tune.

Tune receives the training's progress and can stop it, but keeps nothing. Everything that the trial needs to resume is
in its folder: the run's checkpoints and ``trial.json``.
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

# Seconds that Tune waits for news of a trial. A request to stop takes effect within this time.
BEAT = 1.0
# Seconds for the current step and a checkpoint when the whole sweep ends.
GRACE = 18.0
# The same when only this trial is stopped.
PATIENCE = 300.0

News = dict[str, Any]


class TrialActor(Trainable):
    """The class of Tune's actors. Its config comes from :func:`flows.sweep.trial_queue.payload`, in plain JSON.

    The training runs in a thread of its own, and the actor's main thread waits for its news. So a stop arrives within a
    second, however long a step takes, and there is time for a checkpoint before the process ends.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """The CPUs and GPUs that a trial asks for."""
        return PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"]}])

    def setup(self, config: dict[str, Any]) -> None:
        """Begin or resume the training."""
        self._training = Training(config)

    def step(self) -> News:
        """The training's next report, or one without news.

        Raises:
            Exception: what the training raised, if another attempt may help.
        """
        return self._training.next()

    def cleanup(self) -> None:
        """Stop the training after its step and a checkpoint, if it is still running."""
        self._training.stop()


class Training:
    """A training in a thread, with its reports in a queue.

    Args:
        config: ``number, url, label, changes`` of the trial, the training's ``settings``, the ``metric`` that is
            compared, and whether the training ``waits`` after each validation for Tune's decision.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._news: queue.SimpleQueue[News | BaseException] = queue.SimpleQueue()
        self._stopping, self._decided = threading.Event(), threading.Event()
        # Whether the last report was a validation that Tune may not have decided about.
        self._undecided = False
        # The numbers of the last validation that was reported.
        self._told: dict[str, Any] = {}
        self._told_step = -1
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    def next(self) -> News:
        """Wait at most one second for a report.

        Raises:
            Exception: what the training raised, if another attempt may help.
        """
        # Tune asks for the next report, so after the last validation it decided that the training continues.
        if self._undecided:
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
        """Ask the training to stop, and wait for its checkpoint."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE if self._early_reason() else GRACE)

    def _run(self) -> None:
        try:
            self._news.put(self._train())
        except BaseException as error:
            # A bug, or a failure that may pass: Tune retries.
            self._news.put(error)

    def _train(self) -> News:
        """Train from the last checkpoint, and write the outcome into the trial's record."""
        # Imported here, because it loads torch, which the driver does not need.
        from flows.training.trial import train_trial

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
        # Left by a process that was killed before it could stop.
        self._store.delete(EARLY)
        began, step = time.monotonic(), 0
        state: State
        try:
            outcome = train_trial(settings, should_stop=self._stopping.is_set, on_progress=self._tell)
            state, reason, step = "finished", outcome["reason"], outcome["step"]
            if outcome["ended"] != "finished":
                # Without a reason for stopping early, the trial resumes another time.
                early = self._early_reason()
                state, reason = ("stopped_early", early) if early else ("interrupted", reason)
        except Diverged as error:
            state, reason = "diverged", str(error)
        except UserError as error:
            state, reason = "failed", str(error)
            # A full disk is a UserError, too, but there may be space at the next attempt.
            record["mistake"] = not isinstance(error.__context__, OSError)
        record |= {"state": state, "reason": reason}
        record["seconds"] = round(record["seconds"] + time.monotonic() - began, 3)
        # If another process has taken the trial over, the record is that process's.
        with contextlib.suppress(PreconditionFailed):
            write_record(self._store, record, if_match=mine)
        return {"state": state, "step": step, "note": reason, "done": True}

    def _early_reason(self) -> str | None:
        """Why the driver stops this trial early; None if it does not. The driver writes the reason before it stops."""
        if not self._config["waits"]:
            return None
        try:
            return open_store(self._config["url"]).get(EARLY).data.decode()
        except (FileNotFoundError, StorageError):
            return None

    def _tell(self, progress: Progress) -> None:
        """Queue the training's progress. With early stopping, each validation waits for Tune's decision."""
        news = {"state": "running", "step": progress.step, "steps": progress.steps, "note": progress.note}
        if progress.check == self._told:
            # The end is reported by _train().
            if progress.state == "training":
                self._news.put(news)
            return
        self._told = dict(progress.check)
        # Also those before the checkpoint, because a new Tune process does not know them.
        for check in read_checks(self._store):
            if check["step"] > self._told_step and not self._stopping.is_set():
                self._told_step = check["step"]
                self._tell_check(news, check)

    def _tell_check(self, news: News, check: Mapping[str, Any]) -> None:
        numbers = {name: finite(value) for name, value in check.items() if name not in ("kind", "step")}
        metric = self._config["metric"]
        value = numbers.get(metric)
        self._decided.clear()
        reported = news | {"step": check["step"], "numbers": numbers}
        self._news.put(reported if value is None else reported | {metric: value})
        while self._config["waits"] and not self._decided.wait(BEAT / 10) and not self._stopping.is_set():
            pass
