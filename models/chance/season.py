"""Season, from a shop's own last year: what its customers did in the weeks that now lie ahead.

Two windows of a year ago say it: one that starts 52 weeks before today, and the one before it, which is the
season the newest closed window lies in. How much livelier the first was than the second, each against what
BG/NBD expected of its customers then, is added to the level of today. A shop that has not lived so long has
no such windows: its first Christmas surprises it, and its scores say so (``models.chance.reach``).
"""

from datetime import datetime

import numpy as np
from scipy.special import logit

from features.shop import Shop
from features.window import YEAR_DAYS, shift_days
from models.chance.reach import season_from
from models.customers.customer_panel import TrainingWindow, closed_windows
from models.customers.lens import CHANCE


def season_ahead(shop: Shop, known_until: datetime, horizon_days: int) -> float:
    """Return what the season of the horizon adds to the logit of an order; 0 where no last year tells.

    Shrunk in the manner of James and Stein (1961), to 0 where it is within twice its noise: a season
    is seen in few customers only where it is large.
    """
    windows = year_ago(shop, known_until, horizon_days)
    if not windows or any(window.rows[CHANCE].isna().all() for window in windows):
        return 0.0
    (then, then_noise), (before, before_noise) = (_surprise(window) for window in windows)
    livelier = then - before
    kept = 1 - 4 * (then_noise + before_noise) / max(livelier**2, 1e-12)
    return livelier * max(kept, 0.0)


def year_ago(shop: Shop, known_until: datetime, horizon_days: int) -> list[TrainingWindow]:
    """Return last year's window of the horizon to come and the one before it; nothing without such a year."""
    if horizon_days > YEAR_DAYS or season_from(shop, known_until, horizon_days):
        return []
    cutoffs = [shift_days(known_until, -YEAR_DAYS - horizon_days * k, shop.timezone) for k in range(2)]
    windows = closed_windows(shop, cutoffs, known_until, horizon_days)
    return windows if len(windows) == len(cutoffs) else []


def _surprise(window: TrainingWindow) -> tuple[float, float]:
    """Return by how much the logit of who bought lay above what BG/NBD expected, and the variance of that."""
    n, foreseen = len(window.bought), float(np.nanmean(window.rows[CHANCE]))
    share = (window.bought.sum() + 0.5) / (n + 1)
    return float(logit(share) - logit(np.clip(foreseen, 1e-6, 1 - 1e-6))), 1 / (n * share * (1 - share))
