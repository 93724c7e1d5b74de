"""What is said of a sweep while its server is away: the lines, and that nothing ends because of it."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.storage import open_store
from flows.sweep import watch as watching
from flows.sweep.events import TrialEvent
from flows.sweep.live_artifact import LiveArtifact
from flows.sweep.plan import Places
from flows.sweep.records import new_record, write_record
from flows.sweep.watch import SweepWatch
from tests.support.finished_sweep import plan_at

pytestmark = pytest.mark.filterwarnings("ignore:Artifact creation outside")
NOWHERE = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
LOG = logging.getLogger("test")


def test_a_server_that_is_away_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    board = LiveArtifact("progress", "Some Progress", every=60)
    with temporary_settings(NOWHERE):
        board.show(1.0, "one", LOG)
        board.show(2.0, "two", LOG)
        board.show(3.0, "three", LOG, now=True)
    assert [line.split(":")[0] for line in caplog.messages] == ["some-progress is not shown"], (
        "asked once, not again"
    )


def test_news_are_said_at_once_and_steps_now_and_then(
    places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "test")
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    plan = plan_at(str(tmp_path), places, "lambda_reconstruction=uniform:1:100", search="optuna", trials=6)
    for number, label in ((0, "λ1 1"), (1, "λ1 7")):
        record = new_record(number, {"lambda_reconstruction": 1.0}, label)
        write_record(open_store(f"{tmp_path}/trials/{number:03d}"), record)
    with temporary_settings(NOWHERE):
        watch = SweepWatch(plan, LOG)
        for step in range(50):
            watch.event(TrialEvent(0, "running", step, 50, {"quality": 0.5}))
        watch.event(TrialEvent(0, "finished", 50, 50))
        watch.event(TrialEvent(1, "failed", note="no luck"))
        watch.event(TrialEvent(2, "running"))
        watch.end()
    lines = [line for line in caplog.messages if "not shown" not in line]
    assert lines == [
        "trial 000 (λ1 1): quality 0.5",
        "trial 000 (λ1 1): finished, step 50 of 50, quality 0.5",
        "trial 001 (λ1 7): failed; no luck",
        "trial 002 (?): begins",
        "2 of 6 trials have ended: 1 finished, 1 failed; 1 running, 3 waiting",
    ]
