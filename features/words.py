"""Numbers in sentences."""


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: ``1 customer``, ``2,400 customers``; for nouns with a plural in s."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
