from collections.abc import Mapping
from types import MappingProxyType

from attgan.strategies.alternate import ALTERNATE
from attgan.strategies.intensities import Intensities, network_values
from attgan.strategies.inverse import INVERSE
from attgan.strategies.paired import PAIRED
from attgan.strategies.permutation import PERMUTATION
from attgan.strategies.strategy import Strategy, Stream

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {strategy.name: strategy for strategy in (PERMUTATION, INVERSE, ALTERNATE, PAIRED)}
)
"""Every strategy by its name."""

__all__ = ["PAIRED", "STRATEGIES", "Intensities", "Strategy", "Stream", "network_values"]
