"""Numbers with their nouns, for lines that people read."""


def counted(count: float, noun: str) -> str:
    """A count and its noun, in the plural unless it is one: ``1 shard``, ``2,000 images``, ``0.5 GPUs``."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:,g}"
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"
