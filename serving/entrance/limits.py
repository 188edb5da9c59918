"""Rate limits: a token bucket per key; each worker has its share of the key's rate."""

from dataclasses import dataclass

from serving.entrance.keys import Key

BURST_SECONDS = 1.0
"""Burst: an idle key may at once make the requests of this many seconds."""


@dataclass
class Bucket:
    """Requests available, and when that was computed (seconds of a monotonic clock)."""

    tokens: float
    at: float


class Limits:
    """The buckets of one worker. Together the workers allow the key's rate if requests are spread evenly."""

    def __init__(self, n_workers: int = 1) -> None:
        self.n_workers = n_workers
        self._buckets: dict[str, Bucket] = {}

    def wait(self, key: Key, now: float) -> float:
        """Take one request out of the key's bucket; return 0, or the seconds until one is available."""
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
