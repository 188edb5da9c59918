"""Consistency between models that predict related quantities: one score bounds another."""

import pandas as pd

CHURN, ORDERS = "churn_probability", "expected_orders"


def consistent(scores: pd.DataFrame) -> pd.DataFrame:
    """Return ``scores`` with expected orders raised to at least the chance of one.

    This holds by itself if both models had windows enough to learn from, but not where few or none have
    closed.
    """
    names = [str(name) for name in scores if str(name).startswith(CHURN)]
    pairs = {name: name.replace(CHURN, ORDERS) for name in names}
    raised = {
        orders: scores[orders].clip(lower=1 - scores[churn])
        for churn, orders in pairs.items()
        if orders in scores
    }
    return scores.assign(**raised)
