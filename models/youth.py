"""Correction for young shops: models learn from histories that are much shorter than today's.

In a shop of two horizons, today's histories are twice as long as those of the newest window, and a longer
history looks like a keener customer. So lists and the repurchase model score that window's pairs again as of
today, and set the level so that as many purchases are predicted as were made in it. In older shops histories
hardly grow any more, and nothing changes.
"""

from datetime import datetime

import numpy as np

from features.shop import Shop

YOUNG, GROWN = 3, 4
"""Horizons of history up to which the correction is full, and from which there is none; linear in between."""


def youth(shop: Shop, known_until: datetime, *, horizon_days: int) -> float:
    """Return 1 for a shop of ``YOUNG`` horizons or fewer, 0 for one of ``GROWN`` or more."""
    known = (known_until - shop.warehouse.first_at).total_seconds() / 86_400 / horizon_days
    return float(np.clip((GROWN - known) / (GROWN - YOUNG), 0, 1))
