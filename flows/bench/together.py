"""What stages come to that are at work at the same time, and which of them holds the others up."""

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
    """What a stage reaches by itself on all workers.

    Attributes:
        stage: its name.
        rate: images per second.
        on_cores: whether it is these machines' cores that it keeps busy, which other stages need too. A GPU, a network
            and a server elsewhere work beside them.
    """

    stage: str
    rate: float
    on_cores: bool = True


def combined(ceilings: Sequence[Ceiling]) -> float:
    """Images per second of all stages together, at best.

    Stages on the same cores take turns: 1 / Σ (1 / stage). The others overlap with them, so that the slowest counts.
    """
    on_cores = sum(1 / ceiling.rate for ceiling in ceilings if ceiling.on_cores)
    beside = [ceiling.rate for ceiling in ceilings if not ceiling.on_cores]
    return min([*beside, 1 / on_cores if on_cores else math.inf])


def with_twice(ceilings: Sequence[Ceiling], slow: Ceiling) -> float:
    """As :func:`combined`, if one of the stages were twice as fast."""
    faster = replace(slow, rate=2 * slow.rate)
    return combined([faster if ceiling is slow else ceiling for ceiling in ceilings])


def bottleneck(ceilings: Sequence[Ceiling]) -> Ceiling:
    """The stage with which most would be gained if it were twice as fast; of equals the slowest."""
    return max(ceilings, key=lambda ceiling: (with_twice(ceilings, ceiling), -ceiling.rate))


def serves_here(store: Store) -> bool:
    """Whether a store's server is this machine itself: a disk, or an endpoint on the loopback interface."""
    return not isinstance(store, S3Store) or urlsplit(store.connection().endpoint).hostname in _HERE
