"""What is tried next and which trials are stopped, in the study alone: no servers and no files."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.settings import SweepSettings
from flows.sweep.records import Decision
from flows.sweep.space.axes import parse_space
from flows.sweep.space.study import Study

AXES = parse_space(["learning_rate=log:1e-5:1e-2", "freeze_d=int:0:5", "clip_gradients=none,1"])
TRIALS, STEPS, EVERY, GRACE = 9, 90, 10, 10

Tried = list[tuple[dict[str, Any], list[Decision]]]


def study(seed: int = 0, **changes: Any) -> Study:
    options = {"scheduler": "asha", "grace_steps": GRACE, "trials": TRIALS, "seed": seed, "search": "optuna"}
    return Study(SweepSettings.model_validate(options | changes), AXES)


def worth(changes: dict[str, Any]) -> float | None:
    """Best at 1e-3; nothing comes of the highest rates."""
    rate = changes["learning_rate"]
    return None if rate > 5e-3 else -abs(math.log10(rate) + 3) - changes["freeze_d"] / 10


def quality(number: int, step: int, changes: dict[str, Any]) -> float:
    return (worth(changes) or -9.0) + math.sin(number * step) / 5


def run(sweep: Study, number: int, changes: dict[str, Any], decisions: list[Decision], until: int) -> bool:
    """Run a trial up to a step, or until it is stopped; returns whether it has ended."""
    for step in range(0, until + 1, EVERY):
        if any(decision["stop"] for decision in decisions):
            break
        if step not in {decision["step"] for decision in decisions}:
            decisions.append(sweep.decide(number, step, STEPS, quality(number, step, changes)))
    ended = until == STEPS or any(decision["stop"] for decision in decisions)
    if ended:
        sweep.tell(number, [worth(changes)])
    return ended


def go_on(sweep: Study, tried: Tried, count: int) -> Tried:
    """Run the last known trial to its end, and then further ones, one at a time."""
    if tried:
        number = len(tried) - 1
        run(sweep, number, *tried[number], until=STEPS)
    for number in range(len(tried), count):
        changes = sweep.suggest(number)
        assert changes is not None
        tried.append((changes, []))
        run(sweep, number, changes, tried[number][1], until=STEPS)
    return tried


def rebuilt(again: Study, tried: Tried) -> Study:
    """A new command's study of these trials, of which the last one has not ended."""
    for number, (changes, _) in enumerate(tried):
        again.add(number, changes)
    again.replay((number, decision) for number, (_, found) in enumerate(tried) for decision in found)
    for number, (changes, _) in enumerate(tried[:-1]):
        again.tell(number, [worth(changes)])
    return again


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    grace=st.sampled_from([GRACE, None]),
    ended=st.integers(0, TRIALS - 1),
    step=st.sampled_from([0, 30, 70]),
)
def test_with_one_trial_at_a_time_a_resumed_sweep_suggests_and_decides_as_an_undisturbed_one(
    seed: int, grace: int | None, ended: int, step: int
) -> None:
    undisturbed = go_on(study(seed, grace_steps=grace), [], TRIALS)
    known = [(changes, list(found)) for changes, found in undisturbed[: ended + 1]]
    known[-1] = (known[-1][0], [decision for decision in known[-1][1] if decision["step"] <= step])
    assert go_on(rebuilt(study(seed, grace_steps=grace), known), known, TRIALS) == undisturbed


def test_a_trial_continues_past_a_rung_if_it_is_among_the_best_third_there() -> None:
    sweep = study()
    values = [0.5, 0.4, 0.6, 0.55, 0.1, 0.58]
    for number in range(len(values)):
        sweep.add(number, {"learning_rate": 1e-3, "freeze_d": number % 6, "clip_gradients": None})
    stopped = [sweep.decide(number, GRACE, STEPS, value)["stop"] for number, value in enumerate(values)]
    assert stopped == [False, True, False, True, True, False]


@pytest.mark.parametrize("first", [0, 1])
def test_rungs_are_at_shares_of_each_trials_own_steps_whichever_is_validated_first(first: int) -> None:
    """As where the subset is searched: both trials have passed over their data equally often at a rung."""
    sweep, steps = study(grace_steps=None), [60, 180]
    for number in range(3):
        sweep.add(number, {"learning_rate": 1e-3, "freeze_d": number, "clip_gradients": None})
    for number in (first, 1 - first):
        assert not sweep.decide(number, 0, steps[number], 0.0)["stop"]
    assert not sweep.decide(0, 14, 60, 0.1)["stop"], "before the first rung"
    assert not sweep.decide(0, 15, 60, 0.9)["stop"]
    assert not sweep.decide(1, 44, 180, 0.5)["stop"], "before the first rung"
    assert sweep.decide(1, 45, 180, 0.5)["stop"]
    assert not sweep.decide(2, 45, 180, 0.95)["stop"]
    assert not sweep.decide(0, 44, 60, 0.1)["stop"], "before the second rung"
    assert not sweep.decide(0, 45, 60, 0.9)["stop"]
    assert sweep.decide(2, 135, 180, 0.8)["stop"]


def test_a_sweep_whose_rungs_an_earlier_version_laid_by_steps_keeps_them() -> None:
    sweep = study(grace_steps=None)
    for number in range(2):
        sweep.add(number, {"learning_rate": 1e-3, "freeze_d": number, "clip_gradients": None})
    sweep.replay([(0, Decision(order=0, step=20, value=0.9, stop=False, grace_steps=20))])
    decision = sweep.decide(1, 20, 1000, 0.5)
    assert (decision["stop"], decision["grace_steps"]) == (True, 20)


@pytest.mark.parametrize(
    ("step", "value"),
    [(GRACE - 1, 0.1), (STEPS, 0.1), (GRACE, None), (GRACE, float("nan"))],
    ids=["before the first rung", "after the last step", "no value", "not a number"],
)
def test_a_trial_is_not_stopped_there(step: int, value: float | None) -> None:
    sweep = study()
    for number in range(2):
        sweep.add(number, {"learning_rate": 1e-3, "freeze_d": number, "clip_gradients": None})
    sweep.decide(0, GRACE, STEPS, 0.9)
    assert not sweep.decide(1, step, STEPS, value)["stop"]


def test_validations_of_an_earlier_version_count_for_the_trials_that_follow() -> None:
    sweep = study()
    for number in range(2):
        sweep.add(number, {"learning_rate": 1e-3, "freeze_d": number, "clip_gradients": None})
    sweep.observe(0, GRACE, STEPS, 0.9)
    assert sweep.decide(1, GRACE, STEPS, 0.5)["stop"]


def test_what_came_of_the_first_trials_guides_the_later_ones() -> None:
    first, last = [], []
    for seed in range(6):
        sweep, tried = study(seed, trials=30), []
        for number in range(30):
            changes = sweep.suggest(number)
            assert changes is not None
            assert changes not in tried
            tried.append(changes)
            sweep.tell(number, [worth(changes)])
        values = [-3.0 if (value := worth(changes)) is None else value for changes in tried]
        first += values[:9]
        last += values[-9:]
    # Drawn at random, both are about -1.3.
    assert sum(last) / len(last) > sum(first) / len(first) + 0.3


def test_a_space_that_is_exhausted_suggests_nothing_more() -> None:
    sweep = Study(SweepSettings(trials=10), parse_space(["freeze_d=0,1,2"]))
    suggested = []
    while (changes := sweep.suggest(len(suggested))) is not None:
        suggested.append(changes["freeze_d"])
        sweep.tell(len(suggested) - 1, [float(len(suggested))])
    assert sorted(suggested) == [0, 1, 2]


def test_with_two_metrics_both_are_searched() -> None:
    """The higher the rate, the better the first and the worse the second: all rates are equally good."""
    axes = parse_space(["learning_rate=log:1e-5:1e-2", "freeze_d=int:0:5"])
    sweep = Study(SweepSettings(trials=40, search="optuna", second_metric="steps"), axes)
    tried = []
    for number in range(40):
        changes = sweep.suggest(number)
        assert changes is not None
        tried.append(changes)
        rate = math.log10(changes["learning_rate"])
        sweep.tell(number, [rate - changes["freeze_d"], rate + changes["freeze_d"]])
    # FreezeD worsens both.
    assert sum(changes["freeze_d"] == 0 for changes in tried[20:]) > sum(
        changes["freeze_d"] == 0 for changes in tried[:20]
    )
    rates = [changes["learning_rate"] for changes in tried[20:]]
    assert max(rates) > 30 * min(rates)


def test_results_of_another_sweep_guide_the_first_suggestions() -> None:
    near = []
    for seed in range(6):
        sweep = study(seed, trials=3)
        for step in range(20):
            changes = {
                "learning_rate": 10 ** (-5 + 3 * step / 20),
                "freeze_d": step % 6,
                "clip_gradients": None,
            }
            assert sweep.learn(changes, [worth(changes) or -3.0])
        for number in range(3):
            changes = sweep.suggest(number) or {}
            near.append(worth(changes) or -3.0)
            sweep.tell(number, [worth(changes)])
    # Drawn at random, it is about -1.3.
    assert sum(near) / len(near) > -1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 1e-3, "freeze_d": 0},
        {"learning_rate": 1.0, "freeze_d": 0, "clip_gradients": None},
        {"learning_rate": 1e-3, "freeze_d": 0, "clip_gradients": 2.0},
        {"learning_rate": 1e-3, "freeze_d": 0, "clip_gradients": None, "flip": True},
    ],
    ids=["a setting less", "beyond a range", "not in a list", "a setting more"],
)
def test_results_outside_the_space_are_not_taken(changes: dict[str, Any]) -> None:
    assert not study().learn(changes, [0.5])
