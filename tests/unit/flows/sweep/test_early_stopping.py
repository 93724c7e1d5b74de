"""Who is stopped early, decided from what trials say alone: no servers."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler

from flows.settings import SweepSettings
from flows.storage import open_store
from flows.sweep.early_stopping import EarlyStoppingScheduler
from flows.sweep.records import EARLY


def test_a_short_trial_that_speaks_first_saves_no_long_one_from_being_compared(tmp_path: Path) -> None:
    """With the subset as an axis trials have as many steps as there are images: rungs lie where they lie for all."""
    settings = SweepSettings(scheduler="asha", grace_steps=10)
    stopping = EarlyStoppingScheduler(settings, [], nullcontext)

    def decide(number: int, step: int, steps: int, quality: float) -> str:
        trial: Any = SimpleNamespace(config={"number": number, "url": str(tmp_path / str(number))})
        return stopping.on_trial_result(None, trial, {"step": step, "steps": steps, "quality": quality})

    go_on = TrialScheduler.CONTINUE
    assert decide(0, 10, 12, 0.5) == go_on
    assert [decide(1, 10, 100, 0.9), decide(1, 30, 100, 0.9)] == [go_on, go_on]
    assert decide(2, 10, 100, 0.95) == go_on
    assert decide(2, 30, 100, 0.1) == TrialScheduler.STOP
    assert b"quality 0.1 at step 30" in open_store(str(tmp_path / "2")).get(EARLY).data
    assert decide(0, 12, 12, 0.1) == go_on, "it has come to its end"
