"""Inputs of the repurchase model: the renewal model's chance, and what that model does not see.

The renewal model looks at one pair at a time. All other purchases show whether the customer is still active
and whether the product still sells.
"""

import numpy as np
from scipy.special import logit

from features.arrays.dtypes import Column, Floats
from features.arrays.history import History
from models.clock.renewal import Rhythm
from models.clock.spells import Spells

INPUTS: dict[str, str] = {
    "chance": "logit of the renewal model's chance",
    "n": "log of the pair's purchase days",
    "n_28d": "log of the same, half-life 28 days",
    "n_112d": "log of the same, half-life 112 days",
    "age": "log of the days since the last one",
    "late": "log of those days over the pair's typical gap",
    "share": "log of the pair's purchase days over the customer's since the first of them",
    "visits_28d": "log of the customer's purchase days, half-life 28 days",
    "since_visit": "log of the days since the customer's last purchase of anything",
    "faithful": "logit of the share of the customer's products bought on two days or more, shrunk",
    "rebuy": "logit of the share of the product's earlier buyers back within the last horizon, shrunk",
    "trend": "log of the product's purchases of this month over those of this season",
}
"""Name and meaning of every column, in order."""
FLOOR = 0.05


def inputs(history: History, spells: Spells, *, rhythm: Rhythm, horizon_days: int) -> Floats:
    """Return shape (pairs, inputs), columns as in ``INPUTS``, float32; as of the history's cutoff."""
    age = (history.cutoff_day - spells.day).astype(np.float32)
    month, season = (np.exp2(-age / half_life) for half_life in (28.0, 112.0))
    product = spells.product
    columns_by_name = {
        "chance": logit(np.clip(rhythm.chance(horizon_days), 1e-6, 1 - 1e-6)),
        "n": np.log(spells.n),
        "n_28d": np.log(spells.sums(month) + FLOOR),
        "n_112d": np.log(spells.sums(season) + FLOOR),
        "age": np.log1p(spells.age),
        "late": np.log1p(spells.age) - rhythm.middle,
        "rebuy": _rebuy(spells, age, size=len(history.products), horizon_days=horizon_days)[product],
        "trend": _trend(history, month, season=season, spells=spells)[product],
    }
    columns_by_name |= _customers(history, spells)
    columns = [np.asarray(columns_by_name[name], np.float32) for name in INPUTS]
    return np.stack(columns, axis=1) if len(spells) else np.zeros((0, len(INPUTS)), np.float32)


def _customers(history: History, spells: Spells) -> dict[str, Column]:
    """Return the inputs that depend on each pair's customer."""
    customer, size = spells.customer, len(history.customers)
    visit = np.unique(history.customer.astype(np.int64) * (history.cutoff_day + 1) + history.day)
    who, day = np.divmod(visit, history.cutoff_day + 1)
    ago = history.cutoff_day - day
    last = np.full(size, history.cutoff_day)
    np.minimum.at(last, who, ago)
    n_since = np.searchsorted(
        visit, (customer.astype(np.int64) + 1) * (history.cutoff_day + 1)
    ) - np.searchsorted(
        visit, customer.astype(np.int64) * (history.cutoff_day + 1) + spells.day[spells.starts[:-1]]
    )
    again = np.bincount(customer, spells.n > 1, minlength=size)
    pairs = np.bincount(customer, minlength=size)
    usual = (again.sum() + 0.5) / (pairs.sum() + 1)
    return {
        "share": np.log(spells.n / np.maximum(n_since, 1)),
        "visits_28d": np.log(np.bincount(who, np.exp2(-ago / 28.0), minlength=size) + FLOOR)[customer],
        "since_visit": np.log1p(last)[customer],
        "faithful": logit((again + 10 * usual) / (pairs + 10))[customer],
    }


def _rebuy(spells: Spells, age: Floats, *, size: int, horizon_days: int) -> Column:
    """Return the logit of the share of each product's earlier buyers back within the last horizon."""
    earlier = age[spells.starts[:-1]] > horizon_days
    back = earlier & (spells.age <= horizon_days)
    n, came = (np.bincount(spells.product, rows, minlength=size) for rows in (earlier, back))
    usual = (came.sum() + 0.5) / (n.sum() + 1)
    return np.asarray(logit((came + 10 * usual) / (n + 10)))


def _trend(history: History, month: Floats, *, season: Floats, spells: Spells) -> Column:
    """Return the log ratio of each product's purchases of this month to those of this season, shrunk to 0."""
    size, product = len(history.products), spells.product[spells.pair]
    sums = [np.bincount(product, weight, minlength=size) for weight in (month, season)]
    usual = max(sums[0].sum() / max(sums[1].sum(), 1e-9), 1e-9)
    return np.asarray(np.log((sums[0] + 5 * usual) / (sums[1] + 5) / usual))
