"""What is shown of a sweep while it runs: by its trials' events alone, and while its server is away."""

import logging
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.runtime.reporting import LiveArtifact
from flows.sweep.plan import Places
from flows.sweep.results.progress import TrialEvent, TrialStatus
from tests.support.finished_sweep import plan_at

pytestmark = pytest.mark.filterwarnings("ignore:Artifact creation outside")
NOWHERE = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
LOG = logging.getLogger("test")


@pytest.fixture
def status(places: Places, tmp_path: Path) -> TrialStatus:
    """Of four trials, and two more that a search will suggest."""
    plan = plan_at(str(tmp_path), places)
    return TrialStatus(plan.known, 6, "quality", "max")


def running(number: int, step: int, quality: float | None) -> TrialEvent:
    return TrialEvent(number, "running", step, 1000, {} if quality is None else {"quality": quality})


def test_trials_are_counted_by_their_state(status: TrialStatus) -> None:
    assert status.words() == "0 of 6 trials have ended; 6 waiting"
    for event in (
        running(0, 0, None),
        running(1, 10, 0.5),
        TrialEvent(1, "finished", 1000, 1000),
        TrialEvent(2, "failed", note="no luck"),
        running(3, 10, 0.5),
        TrialEvent(3, "stopped_early", 20, 1000),
        TrialEvent(5, "interrupted", 20, 1000, label="λ1 3"),
    ):
        status.take(event)
    assert (
        status.words()
        == "3 of 6 trials have ended: 1 finished, 1 stopped early, 1 failed; 1 running, 1 interrupted, 1 waiting"
    )


def test_the_best_trial_is_ahead_by_what_its_trained_weights_came_to(status: TrialStatus) -> None:
    assert status.ahead is None
    status.take(running(0, 0, 0.9))
    assert status.ahead is None, "that is the start's number"
    status.take(running(0, 100, 0.4))
    status.take(running(1, 100, 0.6))
    status.take(running(1, 200, 0.2))
    assert status.ahead == 1
    status.take(running(2, 100, float("nan")))
    assert status.ahead == 1
    status.take(running(3, 100, 0.9))
    status.take(TrialEvent(3, "diverged"))
    assert status.ahead == 1, "the weights of a trial that diverged are no result"
    rows = status.rows()
    assert [row["trial"] for row in rows] == ["001", "000", "002", "003"]
    assert (rows[0]["quality"], rows[0]["last"], rows[0]["step"]) == ("0.6", "0.2", "200 of 1,000")
    assert rows[2]["quality"] == "–"


def test_a_server_that_is_away_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    board = LiveArtifact("progress", "Some Progress", every=60)
    with temporary_settings(NOWHERE):
        board.show(1.0, "one", LOG)
        board.show(2.0, "two", LOG)
        board.show(3.0, "three", LOG, now=True)
    assert [line.split(":")[0] for line in caplog.messages] == ["some-progress is not shown"], (
        "asked once, not again"
    )
