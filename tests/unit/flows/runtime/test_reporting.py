"""Progress as the Prefect UI shows it."""

import logging

import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings

from flows.runtime import reporting


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The percentages that the progress bar has had."""
    bar: list[float] = []
    monkeypatch.setattr(reporting.LiveArtifact, "show", lambda self, share, *_: bar.append(share))
    return bar


def test_it_moves_at_the_first_items_and_at_the_end_and_not_beyond(shown: list[float]) -> None:
    progress = reporting.Progress("steps", "steps", 40, logging.getLogger("progress"))
    for _ in range(6):
        progress.advance(10)
    assert shown == [0, 25, 100]


def test_work_that_is_over_before_anything_is_heard_of_it_is_shown_as_done(shown: list[float]) -> None:
    progress = reporting.Progress("steps", "steps", 40, logging.getLogger("progress"), before=40)
    progress.advance(0)
    progress.advance(0)
    assert shown == [0, 100]


def test_a_cell_leads_to_the_log_of_its_task_run() -> None:
    with temporary_settings({PREFECT_UI_URL: "https://prefect.example/ui"}):
        assert (
            reporting.task_run_link("003", "0a1b") == "[003](https://prefect.example/ui/runs/task-run/0a1b)"
        )
    assert reporting.task_run_link("003", None) == "003"
