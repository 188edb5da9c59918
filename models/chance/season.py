"""Season, from a shop's own last year: what its customers did in the weeks that now lie ahead.

The window that began 52 weeks before today says it: by how much livelier it was than what BG/NBD, fitted on
what was known then, expected of its customers. What it tells beyond chance moves the levels of today
(``models.customers.calibration``). A shop that has not lived so long has no such window: its first Christmas
surprises it, and its scores say so (``models.chance.reach``).
"""

from datetime import datetime

from features.shop import Shop
from features.window import YEAR_DAYS, shift_days
from models.chance.reach import season_from
from models.customers.customer_panel import TrainingWindow, closed_windows


def year_ago(shop: Shop, known_until: datetime, horizon_days: int) -> TrainingWindow | None:
    """Return last year's window of the horizon to come; None without such a year, and beyond a year."""
    if horizon_days > YEAR_DAYS or season_from(shop, known_until, horizon_days):
        return None
    cutoff = shift_days(known_until, -YEAR_DAYS, shop.timezone)
    return next(iter(closed_windows(shop, [cutoff], known_until, horizon_days)), None)
