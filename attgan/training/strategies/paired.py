"""Paired: bare faces alone, each beside itself with rendered glasses. There is no adversary.

What the other strategies leave to two networks that argue, what glasses are, where they sit and of which style they
are, is shown here. Only the generator is trained.
"""

from attgan.training.strategies.alternate import added
from attgan.training.strategies.strategy import Strategy

PAIRED = Strategy("paired", source="without", real="without", targets=added)
