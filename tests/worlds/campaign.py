"""A randomised campaign whose effect on every customer is known."""

import numpy as np
import pandas as pd


def campaign(
    n: int = 4000, *, lift: float = 0.3, harm: float = 0.0, share: float = 0.5, seed: int = 0
) -> pd.DataFrame:
    """Return one row a customer: who is moved is not who buys.

    ``asks`` (0 or 1) decides the effect: ``lift`` for those who ask, ``-harm`` for the others. ``spend``
    decides the base: 10 to 50%. ``recency`` and ``channel`` are noise.
    """
    rng = np.random.default_rng(seed)
    asks, spend = rng.integers(0, 2, n), rng.random(n)
    effect, base = np.where(asks == 1, lift, -harm), 0.1 + 0.4 * spend
    treated = (rng.random(n) < share).astype(int)
    return pd.DataFrame(
        {
            "asks": asks,
            "spend": spend,
            "recency": rng.integers(0, 12, n),
            "channel": rng.choice(["web", "phone"], n),
            "treated": treated,
            "bought": (rng.random(n) < base + effect * treated).astype(int),
        }
    )
