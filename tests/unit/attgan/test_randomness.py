import torch

from attgan.randomness import generator_for


def first(seed: int, purpose: str, step: int) -> int:
    return int(torch.randint(2**62, (1,), generator=generator_for(seed, purpose, step)))


def test_a_step_draws_the_same_in_every_process_and_version() -> None:
    assert first(4, "share", 10**6) == 1586618772061141168


def test_the_global_random_state_plays_no_part_and_stays() -> None:
    expected = first(0, "share", 1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert first(0, "share", 1) == expected
    assert torch.equal(torch.get_rng_state(), before)
