"""Consistency between models that predict related quantities: one score bounds another."""

import pandas as pd

CHURN, ORDERS = "churn_probability", "expected_orders"


def consistent(scores: pd.DataFrame, horizon_days: int | None = None) -> pd.DataFrame:
    """Return ``scores`` with expected orders of at least the chance of one, and at most one a day if any.

    This holds by itself if both models had windows enough to learn from, but not where few or none have
    closed, nor in a horizon of a day or two. ``horizon_days`` is that of columns that do not name theirs.
    """
    chances = {str(name): 1 - scores[name] for name in scores if str(name).startswith(CHURN)}
    bounded = {
        orders: scores[orders].clip(chance, chance * (_days(churn) or horizon_days or float("inf")))
        for churn, chance in chances.items()
        if (orders := churn.replace(CHURN, ORDERS)) in scores
    }
    return scores.assign(**bounded)


def _days(name: str) -> int:
    """Return the days in a column's name, ``_28d``; 0 if it names none."""
    days = name.removeprefix(f"{CHURN}_").removesuffix("d")
    return int(days) if days.isdigit() else 0
