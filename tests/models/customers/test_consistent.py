import numpy as np
import pandas as pd

from models.customers.consistent import consistent


def test_no_fewer_orders_are_expected_than_the_chance_of_one() -> None:
    churn, orders = [0.9, 0.4, 0.4], [0.05, 0.5, 0.7]
    scores = {"churn_probability_28d": churn, "expected_orders_28d": orders, "churn_probability_90d": churn}
    found = consistent(pd.DataFrame(scores))
    np.testing.assert_allclose(found["expected_orders_28d"], [0.1, 0.6, 0.7])
    assert found["churn_probability_28d"].tolist() == churn and "expected_orders_90d" not in found


def test_no_more_orders_are_expected_than_one_on_each_day_of_whoever_orders() -> None:
    scores = pd.DataFrame({"churn_probability_1d": [0.9, 0.5], "expected_orders_1d": [0.14, 0.4]})
    np.testing.assert_allclose(consistent(scores)["expected_orders_1d"], [0.1, 0.5])
    bare = scores.rename(columns=lambda name: name.removesuffix("_1d"))
    np.testing.assert_allclose(consistent(bare, 1)["expected_orders"], [0.1, 0.5])
    np.testing.assert_allclose(consistent(bare, 3)["expected_orders"], [0.14, 0.5])
