"""How often a key may ask: a token bucket a key, in each worker its share of the key's rate."""

from dataclasses import dataclass

from serving.entrance.keys import Key

BURST_SECONDS = 1.0
"""A key that was silent may ask at once what it may ask in so many seconds."""


@dataclass
class Bucket:
    """Requests that are free now, and when that was counted (seconds of a clock that only grows)."""

    tokens: float
    at: float


class Limits:
    """The buckets of one worker. Requests spread evenly over workers meet the key's own rate."""

    def __init__(self, n_workers: int = 1) -> None:
        self.n_workers = max(n_workers, 1)
        self._buckets: dict[str, Bucket] = {}

    def wait(self, key: Key, now: float) -> float:
        """Take one request out of the key's bucket; return 0, or the seconds until there is one to take."""
        if key.per_second is None:
            return 0.0
        rate = key.per_second / self.n_workers
        most = max(rate * BURST_SECONDS, 1.0)
        bucket = self._buckets.setdefault(key.key_id, Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / rate
        bucket.tokens -= 1.0
        return 0.0
