"""How young a shop is: its histories grow, and who learnt from shorter ones takes their length for eagerness.

In a shop of two horizons today's histories are twice as long as those of the newest window. So lists and the
clock of repurchase ask once more of that window's pairs, as of today, and tell as many purchases of them as
were made in it. In older shops histories hardly grow any more, and nothing is changed.
"""

from datetime import datetime

import numpy as np

from features.shop import Shop

YOUNG, GROWN = 3, 4
"""Horizons of history up to which the level is set so, and from which on not at all; evenly less between."""


def youth(shop: Shop, known_until: datetime, horizon_days: int) -> float:
    """Return 1 for a shop of ``YOUNG`` horizons or fewer, 0 for one of ``GROWN`` or more."""
    known = (known_until - shop.warehouse.first_at).total_seconds() / 86_400 / horizon_days
    return float(np.clip((GROWN - known) / (GROWN - YOUNG), 0, 1))
