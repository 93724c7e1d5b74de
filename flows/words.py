"""Numbers with their nouns and units, for lines that people read."""


def counted(count: float, noun: str) -> str:
    """A count and its noun, in the plural unless it is one: ``1 shard``, ``2,000 images``, ``0.5 GPUs``."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:,g}"
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"


def lasting(seconds: float) -> str:
    """A time in the unit that suits it: ``95 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 3600:,.1f} h" if seconds >= 7200 else f"{seconds / 60:,.0f} min"
