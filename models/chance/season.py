"""Season, from a shop's own last year: its customers' orders in the weeks that now lie ahead.

It is the error in the window that began 52 weeks ago: how many more orders there were than BG/NBD, fitted on
what was known then, expected of its customers. As far as that exceeds chance it moves today's levels
(``models.customers.calibration``). Younger shops have no such window: they cannot foresee their first
Christmas, and their scores say so (``models.chance.horizon``).
"""

from datetime import datetime

from features.shop import Shop
from features.window import YEAR_DAYS, shift_days
from models.chance.horizon import season_from
from models.customers.customer_panel import TrainingWindow, closed_windows


def year_ago(shop: Shop, known_until: datetime, horizon_days: int) -> TrainingWindow | None:
    """Return last year's window of the coming horizon; None without one, and for horizons beyond a year."""
    if horizon_days > YEAR_DAYS or season_from(shop, known_until, horizon_days):
        return None
    cutoff = shift_days(known_until, -YEAR_DAYS, shop.timezone)
    return next(iter(closed_windows(shop, [cutoff], known_until, horizon_days)), None)
