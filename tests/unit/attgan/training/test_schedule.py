"""Whose step it is, when to validate, and the learning rate, for any run."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attgan.training.config import TrainingConfig
from attgan.training.schedule import StepSchedule, learning_rate, step_schedule

TABLES = st.builds(
    StepSchedule,
    steps_per_epoch=st.integers(1, 40),
    steps=st.integers(1, 200),
    checks_per_epoch=st.integers(1, 50),
    discriminator_steps=st.none() | st.integers(1, 7),
)


@given(TABLES)
def test_each_cycle_is_n_discriminator_steps_and_then_one_of_the_generator(table: StepSchedule) -> None:
    whose = [table.is_generator_step(step) for step in range(table.steps)]
    n = table.discriminator_steps
    cycle = [False] if n is None else [False] * n + [True]
    assert whose == list(itertools.islice(itertools.cycle(cycle), table.steps))
    for done in range(table.steps + 1):
        assert table.generator_steps(done) == sum(whose[:done])
        assert table.discriminator_steps_of(done) == done - sum(whose[:done])


@given(TABLES)
def test_validations_are_evenly_spread_at_every_epochs_end_and_at_both_ends(table: StepSchedule) -> None:
    checks = [done for done in range(table.steps + 1) if table.is_check(done)]
    assert checks[0] == 0
    assert checks[-1] == table.steps
    assert set(range(0, table.steps + 1, table.steps_per_epoch)) <= set(checks)
    for first in range(1, table.steps - table.steps_per_epoch, table.steps_per_epoch):
        inside = [done for done in checks if first <= done < first + table.steps_per_epoch]
        assert len(inside) == min(table.checks_per_epoch, table.steps_per_epoch)
    gaps = {after - before for before, after in itertools.pairwise(checks[:-1])}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_an_epoch_is_the_whole_batches_of_one_pass_and_max_steps_ends_earlier() -> None:
    config = TrainingConfig(batch_size=10, epochs=4)
    table = step_schedule(config, 39, 3)
    assert (table.steps_per_epoch, table.steps) == (3, 12)
    assert step_schedule(config.model_copy(update={"max_steps": 5}), 39, 3).steps == 5
    assert step_schedule(config.model_copy(update={"max_steps": 50}), 39, 3).steps == 12
    assert [table.epoch(done) for done in (0, 3, 6)] == [0, 1, 2]
    with pytest.raises(ValueError, match="9 rows"):
        step_schedule(config, 9, 3)


@given(TABLES, st.floats(0, 3), st.sampled_from(["constant", "linear", "cosine"]))
def test_the_rate_rises_evenly_to_the_peak_and_never_rises_again(
    table: StepSchedule, warmup: float, schedule: str
) -> None:
    config = TrainingConfig(learning_rate=0.5, schedule=schedule)  # type: ignore[arg-type]
    rates = [learning_rate(config, warmup, step, table) for step in range(table.steps)]
    rising = warmup * table.steps_per_epoch
    for step, rate in enumerate(rates):
        assert 0 < rate <= 0.5
        if step + 1 <= rising:
            assert rate == pytest.approx(0.5 * (step + 1) / rising, rel=1 / max(rising, 1))
    after = rates[int(rising) :]
    assert all(later <= earlier for earlier, later in itertools.pairwise(after))
    if schedule == "constant":
        assert all(rate == 0.5 for rate in after)


def test_the_reports_warm_up_ends_with_the_first_and_the_second_epoch() -> None:
    config, table = TrainingConfig(learning_rate=1e-4), StepSchedule(100, 3000, 4, 3)
    for warmup, last in ((config.discriminator_warmup, 99), (config.generator_warmup, 199)):
        assert learning_rate(config, warmup, last, table) == 1e-4
        assert learning_rate(config, warmup, last - 1, table) < 1e-4
    assert learning_rate(config, 1, 0, table) == pytest.approx(1e-6)
