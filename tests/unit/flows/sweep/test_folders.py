"""What is found in a sweep's folder."""

from pathlib import Path

import pytest

from flows.storage import open_store
from flows.sweep.folders import Kept, all_trials, kept_weights, read_metrics, trial_store
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.records import new_record, write_record
from tests.support.finished_sweep import plan_at


def test_a_finished_trial_has_its_result(finished: SweepPlan) -> None:
    kept = kept_weights(trial_store(finished, 0))
    assert kept is not None
    assert (kept.path, kept.steps) == ("bundle", 4)
    assert 0 < kept.step <= 4


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ([], None),
        (["best/step-0000000090/generator.safetensors"], None),  # its settings are written last
        (["best/step-0000000090/config.json"], Kept("best/step-0000000090", 90)),
        (
            [f"best/step-{step:010d}/config.json" for step in (90, 1000, 20)]
            + ["best/step-0000002000/README.md"],
            Kept("best/step-0000001000", 1000),
        ),
    ],
)
def test_of_another_trial_the_newest_whole_bundle_counts(
    tmp_path: Path, files: list[str], kept: Kept | None
) -> None:
    store = open_store(str(tmp_path))
    for key in files:
        store.put(key, b"{}")
    assert kept_weights(store) == kept


def test_trials_that_a_search_has_suggested_meanwhile_are_found(places: Places, tmp_path: Path) -> None:
    plan = plan_at(str(tmp_path), places, "lambda_reconstruction=uniform:1:100", search="optuna", trials=5)
    assert all_trials(plan) == []
    for number in (0, 1):
        changes = {"lambda_reconstruction": 7.5 * (number + 1)}
        write_record(trial_store(plan, number), new_record(number, changes, "seven"))
    assert [trial.changes["lambda_reconstruction"] for trial in all_trials(plan)] == [7.5, 15.0]
    assert [trial.url for trial in all_trials(plan)] == [
        str(tmp_path / "trials" / name) for name in ("000", "001")
    ]


def test_metrics_are_read_up_to_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert read_metrics(store) == []
    store.put("metrics.jsonl", b'{"kind": "step", "step": 1}\n{"kind": "check", "step": 1}\n{"kind": "st')
    assert [row["kind"] for row in read_metrics(store)] == ["step", "check"]
