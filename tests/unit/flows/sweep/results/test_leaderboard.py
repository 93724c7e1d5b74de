"""How trials are ordered, and where the numbers of their rows come from."""

import io
import json
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attgan.models import inspect_bundle
from flows.settings.sweep import Mode
from flows.storage import open_store
from flows.sweep.plan import SweepPlan
from flows.sweep.records import MEASURES, read_validations
from flows.sweep.results.display import shown
from flows.sweep.results.leaderboard import Row, ranked, read_rows, table_of, to_parquet, with_front

NOT_COMPARED = ("failed", "diverged", "waiting")
STATES = (*NOT_COMPARED, "finished", "stopped_early", "interrupted", "running")


@st.composite
def a_row(draw: st.DrawFn) -> Row:
    value = draw(st.none() | st.floats(-1e6, 1e6))
    bundle = draw(st.sampled_from([None, "there"]))
    return Row("000", "", draw(st.sampled_from(STATES)), value=value, bundle=bundle)


@given(st.lists(a_row(), max_size=8), st.sampled_from(["max", "min"]))
def test_trials_are_numbered_from_the_best_on_and_the_others_stand_below(rows: list[Row], mode: Mode) -> None:
    rows = [replace(row, name=f"{number:03d}") for number, row in enumerate(rows)]
    board = ranked(rows, mode)
    assert sorted(row.name for row in board) == [row.name for row in rows], "none is lost, none comes twice"
    numbered = [row for row in board if row.rank is not None]
    assert board[: len(numbered)] == numbered
    assert [row.rank for row in numbered] == list(range(1, len(numbered) + 1))
    values = [row.value for row in numbered]
    assert values == sorted(values, key=float, reverse=mode == "max")
    for row in board:
        compared = row.value is not None and row.bundle is not None and row.state not in NOT_COMPARED
        assert (row.rank is not None) == compared


def test_a_row_has_the_numbers_of_the_weights_that_were_kept(finished: SweepPlan) -> None:
    rows = read_rows(finished, finished.known)
    assert [row.name for row in rows][::4] == ["start", "003"], "the start first, what failed last"
    for row in rows[1:4]:
        trial = finished.known[int(row.name)]
        outcome = json.loads(open_store(trial.url).get("result.json").data)
        kept = {check["step"]: check for check in read_validations(open_store(trial.url))}[row.best_step]
        assert (row.best_step, row.step) == (outcome["best_step"], outcome["step"])
        assert row.value == kept["quality"] == row.held_out["quality"]
        assert row.digest == outcome["digest"] == inspect_bundle(str(row.bundle)).digest
        assert row.test == json.loads(open_store(trial.url).get(MEASURES).data)["measured"]
        assert (row.changes, row.seconds, row.node) == (trial.changes, 1.5, "here")
    assert [row.value for row in rows[1:4]] == sorted((row.value for row in rows[1:4]), reverse=True)
    assert (rows[4].state, rows[4].reason, rows[4].rank, rows[4].test) == (
        "failed",
        "RuntimeError: no luck",
        None,
        {},
    )


def test_the_start_has_the_numbers_from_before_the_first_step_and_no_rank(finished: SweepPlan) -> None:
    start = read_rows(finished, finished.known)[0]
    before = read_validations(open_store(finished.known[0].url))[0]
    assert before["step"] == 0
    assert (start.value, start.rank, start.bundle) == (before["quality"], None, finished.places.bundle)
    assert start.test["faces"] == 5


def columns_of(rows: list[Row], metric: str = "quality") -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(io.BytesIO(to_parquet(table_of(rows, metric)))).to_pydict()
    return columns


def test_the_parquet_file_has_a_row_for_each_trial_and_all_numbers(finished: SweepPlan) -> None:
    rows = read_rows(finished, finished.known)
    columns = columns_of(rows)
    assert columns["trial"] == [row.name for row in rows]
    assert columns["rank"] == [None, 1, 2, 3, None]
    assert columns["set_lambda_reconstruction"][1:] == [
        row.changes["lambda_reconstruction"] for row in rows[1:]
    ]
    assert columns["test_psnr"][1] == rows[1].test["psnr"]
    assert columns["held_out_ssim"][4] is None
    assert columns["evaluator_balanced_accuracy"][:4] == [rows[0].evaluator["balanced_accuracy"]] * 4


@pytest.mark.parametrize(
    ("values", "stored"),
    [([None, 0.5], [None, 0.5]), ([0.5, "auto", True], ["0.5", '"auto"', "true"])],
)
def test_settings_of_any_kind_have_their_column(values: list[Any], stored: list[Any]) -> None:
    rows = [Row(str(number), "", "finished", {"x": value}) for number, value in enumerate(values)]
    assert columns_of(rows)["set_x"] == stored


MODES = st.sampled_from(["max", "min"])
FEW_VALUES = st.none() | st.integers(0, 3).map(float)


@given(st.lists(st.tuples(FEW_VALUES, FEW_VALUES), max_size=8), MODES, MODES)
def test_on_the_front_are_those_that_no_other_trial_beats(
    values: list[tuple[float | None, float | None]], mode: Mode, second: Mode
) -> None:
    rows = [
        Row(f"{number:03d}", "", "finished", value=value, second=other, bundle="there")
        for number, (value, other) in enumerate(values)
    ]
    signs = [1 if each == "max" else -1 for each in (mode, second)]
    known = {
        row.name: [sign * value for sign, value in zip(signs, (row.value, row.second), strict=True)]
        for row in rows
        if row.value is not None and row.second is not None
    }
    front = {
        name
        for name, own in known.items()
        if not any(
            other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in known.values()
        )
    }
    assert {row.name for row in with_front(ranked(rows, mode), mode, second) if row.on_front} == front


def test_of_two_metrics_the_second_is_that_of_the_same_weights(finished: SweepPlan) -> None:
    settings = finished.settings.model_copy(update={"second_metric": "steps"})
    rows = read_rows(replace(finished, settings=settings), finished.known)
    assert [row.second for row in rows[1:4]] == [row.best_step for row in rows[1:4]]
    assert any(row.on_front for row in rows)
    columns = table_of(rows, "quality", "steps").to_pydict()
    assert columns["second_value"] == [row.second for row in rows]
    assert "★" in "".join(row["kept at step"] for row in shown(rows, "quality", "steps"))
