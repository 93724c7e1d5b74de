"""Computes the combined rate of stages that run at the same time, and the bottleneck among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from flows.storage import Store
from flows.storage.s3.store import S3Store

_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Ceiling:
    """The rate of a stage that runs alone, on all workers.

    Attributes:
        stage: its name.
        rate: images per second.
        on_cores: whether it needs the cores of these machines, which other stages need too. A GPU, a network and a
            server elsewhere work in parallel to them.
    """

    stage: str
    rate: float
    on_cores: bool = True


def combined(ceilings: Sequence[Ceiling]) -> float:
    """The highest rate of all stages together, in images per second.

    Stages on the same cores take turns: their rate is 1 / Σ (1 / stage). The others overlap with them, so the slowest
    of all decides.
    """
    on_cores = sum(1 / ceiling.rate for ceiling in ceilings if ceiling.on_cores)
    beside = [ceiling.rate for ceiling in ceilings if not ceiling.on_cores]
    return min([*beside, 1 / on_cores if on_cores else math.inf])


def with_twice(ceilings: Sequence[Ceiling], slow: Ceiling) -> float:
    """The combined rate if one of the stages were twice as fast."""
    faster = replace(slow, rate=2 * slow.rate)
    return combined([faster if ceiling is slow else ceiling for ceiling in ceilings])


def bottleneck(ceilings: Sequence[Ceiling]) -> Ceiling:
    """The stage that would gain most if it were twice as fast; among equals the slowest."""
    return max(ceilings, key=lambda ceiling: (with_twice(ceilings, ceiling), -ceiling.rate))


def serves_here(store: Store) -> bool:
    """Whether a store is served by this machine: a disk, or an endpoint on the loopback interface."""
    return not isinstance(store, S3Store) or urlsplit(store.connection().endpoint).hostname in _HERE
