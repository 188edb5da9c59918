"""Churn where a shop is odd; what every customer model promises is in tests/contracts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from features.errors import CannotLearn
from features.shop import Shop
from models.boosted_trees import Trees, TreesConfig
from models.churn import Churn, ChurnConfig

CUTOFF = datetime(2024, 7, 1, tzinfo=UTC)
CONFIG = ChurnConfig(n_trees=20, n_windows=3, min_leaf_rows=20, curve_days=())


def lines_of(*purchases: tuple[str, str]) -> pd.DataFrame:
    """Return order lines of (customer, day) pairs, ten euros each."""
    frame = pd.DataFrame(purchases, columns=["customer_id", "ordered_at"])
    return frame.assign(ordered_at=pd.to_datetime(frame["ordered_at"]), quantity=1.0, unit_price=10.0)


def one_order_each(n: int = 120) -> pd.DataFrame:
    first = datetime(2024, 1, 1)
    return lines_of(*((f"c{k}", f"{first + timedelta(days=k):%Y-%m-%d}") for k in range(n)))


def churn(shop: Shop, cutoff: datetime = CUTOFF) -> "pd.Series[float]":
    model = Churn.fit(shop, cutoff, config=CONFIG)
    return model.predict(shop, cutoff)[model.column]


@pytest.fixture(scope="module")
def lively() -> pd.DataFrame:
    return order_lines(simulate(n_customers=400, days=200, join_days=100))


def test_a_shop_where_nobody_ever_came_back_says_that_nearly_all_leave(tmp_path: Path) -> None:
    said = churn(make_shop(tmp_path, one_order_each()))
    assert said.between(0.98, 1.0, inclusive="left").all()


def test_a_shop_where_all_always_come_back_says_that_nobody_leaves(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", "2024-06-30", freq="7D")
    lines = lines_of(*((f"c{k}", f"{day:%Y-%m-%d}") for k in range(60) for day in days))
    assert churn(make_shop(tmp_path, lines)).max() < 0.02


def test_a_customer_of_one_day_is_told_like_any_other(tmp_path: Path, lively: pd.DataFrame) -> None:
    newcomer = lines_of(("newcomer", "2024-06-30"))
    said = churn(make_shop(tmp_path, pd.concat([lively, newcomer])))
    assert 0 < said["newcomer"] < said.quantile(0.9)


def test_one_who_brought_everything_back_is_read_as_a_one_time_buyer(
    tmp_path: Path, lively: pd.DataFrame
) -> None:
    kept = lines_of(("undecided", "2024-05-01"))
    back = lines_of(("undecided", "2024-05-06")).assign(quantity=-1.0)
    shop = make_shop(tmp_path, pd.concat([lively, kept, back]).assign(product_id="p"))
    said, features = churn(shop), shop.customer_features(CUTOFF)
    assert "undecided" not in features.index
    once = said[features.index[features["frequency"] == 0]]
    assert once.min() <= said["undecided"] <= once.max()


def test_a_shop_without_prices_is_enough(tmp_path: Path, lively: pd.DataFrame) -> None:
    shop = make_shop(tmp_path, lively[["customer_id", "ordered_at"]])
    assert churn(shop).between(0, 1).all()


def test_a_horizon_of_one_day_can_be_learnt(tmp_path: Path, lively: pd.DataFrame) -> None:
    shop = make_shop(tmp_path, lively)
    said = Churn.fit(shop, CUTOFF, config=CONFIG.model_copy(update={"horizon_days": 1})).predict(shop, CUTOFF)
    assert said["churn_probability_1d"].mean() > 0.95


def test_the_same_customers_leave_less_over_a_longer_horizon(tmp_path: Path, lively: pd.DataFrame) -> None:
    shop = make_shop(tmp_path, lively)
    configs = [CONFIG.model_copy(update={"horizon_days": days}) for days in (14, 56)]
    short, long = (Churn.fit(shop, CUTOFF, config=config).predict(shop, CUTOFF) for config in configs)
    assert long["churn_probability_56d"].mean() < short["churn_probability_14d"].mean()


def test_too_short_a_history_names_the_horizon_that_is_possible(tmp_path: Path, lively: pd.DataFrame) -> None:
    shop = make_shop(tmp_path, lively)
    with pytest.raises(CannotLearn, match="possible now is 1. days; 28 from 2024-02-12 on"):
        Churn.fit(shop, datetime(2024, 2, 5, tzinfo=UTC), config=CONFIG)


def test_what_matters_is_told_as_shares(tmp_path: Path, lively: pd.DataFrame) -> None:
    importance = Churn.fit(make_shop(tmp_path, lively), CUTOFF, config=CONFIG).importance()
    assert sum(importance.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("objective", "expected"), [("binary", 1.0), ("poisson", 2.0), ("regression", 3.0)])
def test_trees_of_a_target_that_does_not_vary_are_a_constant(
    objective: str, expected: float, tmp_path: Path
) -> None:
    target = np.full(80, expected)
    trees = Trees.fit(objective, np.zeros((80, 2)), target=target, config=TreesConfig())
    trees.save(tmp_path / "a.txt")
    undo = {"binary": lambda x: 1 / (1 + np.exp(-x)), "poisson": np.exp, "regression": lambda x: x}
    said = undo[objective](Trees.load(tmp_path / "a.txt").raw(np.zeros((3, 2))))
    np.testing.assert_allclose(said, expected, atol=0.01)


def test_lines_without_a_customer_teach_nothing_about_customers(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", "2024-06-30", freq="D")
    lines = lines_of(*(("x", f"{day:%Y-%m-%d}") for day in days)).assign(customer_id=None, product_id="p")
    with pytest.raises(CannotLearn, match="0 customers had ordered 28 days before 2024-07-01"):
        churn(make_shop(tmp_path, lines))


def test_more_rows_than_one_learns_from_are_drawn_evenly(tmp_path: Path, lively: pd.DataFrame) -> None:
    shop = make_shop(tmp_path, lively)
    few = Churn.fit(shop, CUTOFF, config=CONFIG.model_copy(update={"learn_rows": 300})).predict(shop, CUTOFF)
    assert few.mean().item() == pytest.approx(churn(shop).mean(), abs=0.05)


def test_of_one_customer_alone_churn_cannot_be_known(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", "2024-06-30", freq="D")
    lines = lines_of(*(("x", f"{day:%Y-%m-%d}") for day in days)).assign(product_id="p")
    with pytest.raises(CannotLearn, match="1 customers had ordered .*, 3 needed"):
        churn(make_shop(tmp_path, lines))
