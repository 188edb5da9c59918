"""What those who order come to: trees, and a regression of logs that goes on where they end."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from models.boosted_trees import Trees
from models.customers.customer_panel import PanelConfig
from models.customers.inputs import COLUMNS
from models.customers.log_linear import LogLinear
from models.value.amount import MONEY, Amount
from models.value.spend import Spend

CONFIG = PanelConfig(n_trees=30, min_leaf_rows=20)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Return customers of whom only the revenue so far says what they will spend."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.gamma(2.0, 5.0, (800, len(COLUMNS))), columns=COLUMNS)
    return rows.assign(
        revenue=rng.lognormal(4, 1, len(rows)),
        bgnbd_purchase_probability=0.5,
        regular_purchase_probability=0.5,
    )


@pytest.fixture(scope="module")
def logs(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(0.8 * np.log(rows["revenue"]) + np.random.default_rng(1).normal(0, 0.3, len(rows)))


@pytest.fixture(scope="module")
def amount(rows: pd.DataFrame, logs: np.ndarray) -> Amount:
    return Amount.fit(rows, logs, config=CONFIG)


def test_the_mean_is_fitted_as_ridge_regression_fits_it(rows: pd.DataFrame, logs: np.ndarray) -> None:
    names = ("revenue", "frequency", "days_since_last_order")
    design = np.log1p(rows[list(names)])
    design = (design - design.mean()) / design.std(ddof=0)
    oracle = Ridge(alpha=10.0).fit(design.to_numpy(), logs)
    fitted = LogLinear.fit_mean(names, rows, target=logs, ridge=10.0)
    np.testing.assert_allclose(fitted.score(rows), oracle.predict(design.to_numpy()))


def test_one_who_spent_more_than_anyone_before_is_worth_more_than_the_next(
    rows: pd.DataFrame, amount: Amount
) -> None:
    dearest = rows.nlargest(1, "revenue")
    beyond = dearest.assign(revenue=dearest["revenue"] * 10)
    assert amount.log(beyond) > amount.log(dearest)
    assert amount.trees.raw(beyond.to_numpy(float)) == amount.trees.raw(dearest.to_numpy(float))


def test_what_is_told_lies_between_trees_and_regression_nearer_to_the_trees(
    rows: pd.DataFrame, amount: Amount
) -> None:
    assert amount.linear is not None
    told, trees = amount.log(rows), amount.trees.raw(rows.to_numpy(float))
    regression = amount.linear.score(rows)
    assert (told >= np.minimum(trees, regression) - 1e-9).all()
    assert (told <= np.maximum(trees, regression) + 1e-9).all()
    assert (np.abs(told - trees) <= np.abs(told - regression)).all()


def test_amounts_come_back_from_text_and_facts(tmp_path: Path, rows: pd.DataFrame, amount: Amount) -> None:
    spend = Spend(Trees("", 0.0), amount, 1.0, 1.0, (0.0,))
    spend.save(tmp_path)
    again = Spend.load(tmp_path, json.loads(json.dumps(spend.facts())))
    np.testing.assert_array_equal(again.typical_money(rows), spend.typical_money(rows))
    assert set(MONEY) < set(COLUMNS)
