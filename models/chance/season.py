"""Season, from a shop's own last year: its customers' orders in the weeks that now lie ahead.

It is the error in the window that began 52 weeks ago: how many more orders there were than BG/NBD, fitted on
what was known then, expected of its customers. As far as that exceeds chance it moves today's levels
(``models.customers.calibration``). Younger shops have no such window: they cannot foresee their first
Christmas, and their scores say so (``models.chance.horizon``).

A version is scored with long after it was trained, from a horizon later on (its holdout) until the next one
is promoted, and then other weeks lie ahead. So levels are learnt for later moments too, every two weeks, from
last year's windows that begin there; in between they are interpolated.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from features.shop import Shop
from features.window import YEAR_DAYS, shift_days
from models.chance.horizon import season_from
from models.customers.customer_panel import PanelConfig, TrainingWindow, closed_windows, drawn

STEP_DAYS = 14
"""Days between the moments whose season is learnt, of a horizon of up to eight weeks."""
LASTS_DAYS = 56
"""Days for which a version is scored with after its holdout; later moments get the last one's season."""


class Weeks(NamedTuple):
    """The weeks ahead at a moment after the training, as last year shows them."""

    days: int
    """Days from the end of what was learnt from to the moment; 0 comes first."""
    last_year: TrainingWindow | None
    """The window of the same weeks a year before; None if it is not known."""


NOW = Weeks(0, None)
"""The weeks ahead of the training, in a shop whose last year is not known."""


def weeks_ahead(shop: Shop, known_until: datetime, *, config: PanelConfig) -> list[Weeks]:
    """Return the moments whose season is learnt; only the first, without a window, if none is known.

    The rows of all windows are bounded by ``config.max_rows``: a large shop's are of evenly drawn customers.
    """
    horizon_days = config.horizon(shop)
    furthest = min(horizon_days + LASTS_DAYS, YEAR_DAYS - horizon_days)
    moments = range(0, max(furthest, 0) + 1, STEP_DAYS * max(1, horizon_days // (4 * STEP_DAYS)))
    ids = drawn(shop, known_until, n_drawn=config.max_rows // len(moments))
    weeks = [
        Weeks(days, year_ago(shop, known_until, horizon_days=horizon_days, days=days, ids=ids))
        for days in moments
    ]
    return weeks if any(each.last_year for each in weeks) else weeks[:1]


def year_ago(
    shop: Shop,
    known_until: datetime,
    *,
    horizon_days: int,
    days: int = 0,
    ids: tuple[str, ...] | None = None,
) -> TrainingWindow | None:
    """Return last year's window of the horizon that begins ``days`` after ``known_until``, if it is known.

    None for horizons beyond a year. ``ids`` limits it to those customers.
    """
    begin = shift_days(known_until, days, timezone=shop.timezone)
    if horizon_days > YEAR_DAYS or season_from(shop, begin, horizon_days=horizon_days):
        return None
    cutoff = shift_days(begin, -YEAR_DAYS, timezone=shop.timezone)
    return next(
        iter(closed_windows(shop, [cutoff], known_until=known_until, horizon_days=horizon_days, ids=ids)),
        None,
    )


def at_day(days: float, known: Sequence[tuple[float, float]]) -> float:
    """Return a level at a day after the training, interpolated between those ``known``: (day, level)."""
    at, levels = zip(*known, strict=True)
    return float(np.interp(days, at, levels))
