from collections.abc import Mapping
from types import MappingProxyType

from attgan.training.strategies.alternate import ALTERNATE
from attgan.training.strategies.intensities import Intensities, network_values
from attgan.training.strategies.inverse import INVERSE
from attgan.training.strategies.paired import PAIRED
from attgan.training.strategies.permutation import PERMUTATION
from attgan.training.strategies.strategy import Strategy, Stream

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {strategy.name: strategy for strategy in (PERMUTATION, INVERSE, ALTERNATE, PAIRED)}
)
"""Every strategy by its name."""

__all__ = ["PAIRED", "STRATEGIES", "Intensities", "Strategy", "Stream", "network_values"]
