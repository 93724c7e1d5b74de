import torch

from attgan.randomness import generator_for


def first(seed: int, purpose: str, step: int) -> int:
    return int(torch.randint(2**62, (1,), generator=generator_for(seed, purpose, step)))


def test_each_seed_purpose_and_step_draws_for_itself() -> None:
    calls = [(seed, purpose, step) for seed in range(3) for purpose in ("a", "b") for step in range(50)]
    # Numbers that only look alike must not meet either.
    calls += [(1, "1", 11), (11, "1", 1), (1, "11", 1), (-1, "a", 5), (2**63, "a", 5)]
    assert len({first(*call) for call in calls}) == len(calls)


def test_a_step_draws_the_same_in_every_process_and_version() -> None:
    assert first(4, "share", 10**6) == 1586618772061141168


def test_the_global_random_state_plays_no_part_and_stays() -> None:
    expected = first(0, "share", 1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert first(0, "share", 1) == expected
    assert torch.equal(torch.get_rng_state(), before)
