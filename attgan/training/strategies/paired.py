"""Paired: each face without glasses is paired with the same face wearing rendered glasses. There is no adversary.

The pairs show the generator what glasses look like, where they sit and what each style is. The other strategies leave
that to the game between the two networks. Only the generator is trained.
"""

from attgan.training.strategies.alternate import added
from attgan.training.strategies.strategy import Strategy

PAIRED = Strategy("paired", source="without", real="without", targets=added)
