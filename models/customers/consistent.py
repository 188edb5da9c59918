"""Scores of several models that tell of the same thing: what one says bounds what another may say."""

import pandas as pd

CHURN, ORDERS = "churn_probability", "expected_orders"


def consistent(scores: pd.DataFrame) -> pd.DataFrame:
    """Return ``scores`` with no fewer expected orders than the chance of one.

    It holds by itself where both models have windows enough to learn from; where few have closed, or none,
    it has to be seen to.
    """
    names = [str(name) for name in scores if str(name).startswith(CHURN)]
    pairs = {name: name.replace(CHURN, ORDERS) for name in names}
    raised = {
        orders: scores[orders].clip(lower=1 - scores[churn])
        for churn, orders in pairs.items()
        if orders in scores
    }
    return scores.assign(**raised)
