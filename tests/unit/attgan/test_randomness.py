import subprocess
import sys

import torch

from attgan.randomness import generator_for


def first(seed: int, purpose: str, step: int) -> int:
    return int(torch.randint(2**62, (1,), generator=generator_for(seed, purpose, step)))


def test_each_seed_purpose_and_step_draws_for_itself() -> None:
    calls = [(seed, purpose, step) for seed in range(3) for purpose in ("a", "b") for step in range(200)]
    # Numbers that only look alike must not meet either.
    calls += [(1, "1", 11), (11, "1", 1), (1, "11", 1), (-1, "a", 5), (2**63, "a", 5)]
    assert len({first(*call) for call in calls}) == len(calls)


def test_the_same_step_draws_the_same_in_another_process() -> None:
    script = (
        "import torch; from attgan.randomness import generator_for;"
        "print(int(torch.randint(2**62, (1,), generator=generator_for(4, 'share', 10**6))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == first(4, "share", 10**6)


def test_the_global_random_state_plays_no_part_and_stays() -> None:
    expected = first(0, "share", 1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert first(0, "share", 1) == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_neighbouring_steps_are_not_alike() -> None:
    draws = torch.stack([torch.rand(200, generator=generator_for(0, "share", step)) for step in range(100)])
    likeness = torch.corrcoef(draws) - torch.eye(100)
    assert likeness.abs().max() < 0.35  # five standard deviations of chance
    assert 0.49 < draws.mean() < 0.51
