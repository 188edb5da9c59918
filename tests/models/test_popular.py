from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, START, board, habit_of
from worlds.orders import make_shop, order_lines

from features.arrays.products import popularity
from features.errors import CannotLearn
from features.window import parse_cutoff, shift_days
from models.popular import Popular, PopularConfig


def test_the_best_sellers_are_those_most_customers_bought_lately() -> None:
    shop, _, state = board()
    product, score = Popular.fit(shop, CUTOFF, config=PopularConfig()).best(
        Popular.fit(shop, CUTOFF, config=PopularConfig()).state(shop, CUTOFF)
    )
    assert sorted(product.tolist()) == list(range(len(state.history.products)))
    assert (np.diff(score) <= 0).all()
    recent = state.history.cutoff_day - state.history.day <= 56
    pairs = {*zip(state.history.customer[recent], state.history.product[recent], strict=True)}
    buyers = np.bincount([code for _, code in pairs])
    assert buyers[product[0]] == buyers.max()


def test_the_chance_of_a_horizon_is_calibrated_where_customers_buy_at_random() -> None:
    shop, _, state = board()
    half, whole = popularity(state.history, 28), popularity(state.history, 56)
    assert (half < whole).all()
    bought = shop.product_labels(CUTOFF, 28, known_until=shift_days(CUTOFF, 28, timezone="UTC"))
    assert half.sum() == pytest.approx(len(bought) / len(state.history.customers), rel=0.15)


def test_own_habits_come_first_by_their_decayed_frequency() -> None:
    shop, _, state = board()
    model = Popular.fit(shop, CUTOFF, config=PopularConfig())
    table = model.recommend(model.state(shop, CUTOFF), ["c007"], k=5)
    first = table[(table["list"] == "buy_again") & (table["rank"] == 1)].iloc[0]
    assert (first["product_id"], first["source"]) == (habit_of(7), "own")
    assert state.history.customers.code("c007") >= 0


def test_an_unknown_customer_gets_what_sells_and_nothing_again() -> None:
    shop, _, _ = board()
    model = Popular.fit(shop, CUTOFF, config=PopularConfig())
    table = model.recommend(model.state(shop, CUTOFF), ["nobody"], k=4)
    assert table.groupby("list").size().to_dict() == {"for_you": 4, "new_for_you": 4}
    assert {*table["source"]} == {"popular"}


def test_what_guests_buy_sells_as_well(tmp_path: Path) -> None:
    lines = order_lines().query("quantity > 0")
    guests = pd.DataFrame({"customer_id": None, "order_id": [f"g{n}" for n in range(60)]})
    guests["ordered_at"] = pd.Timestamp("2024-06-01") + pd.to_timedelta(guests.index, unit="h")
    shop = make_shop(tmp_path, pd.concat([lines, guests.assign(product_id="gift", quantity=1.0)]))
    cutoff = parse_cutoff("2024-07-01")
    model = Popular.fit(shop, cutoff, config=PopularConfig())
    best = model.best(model.state(shop, cutoff))[0][0]
    assert shop.history(cutoff).products.names([best]) == ["gift"]


def test_orders_without_products_cannot_be_learnt_from_and_it_says_why(tmp_path: Path) -> None:
    moments = pd.date_range(START, periods=30, freq="D")
    shop = make_shop(tmp_path, pd.DataFrame({"customer_id": "c1", "ordered_at": moments}))
    with pytest.raises(CannotLearn, match="needs product_id in order_lines"):
        Popular.fit(shop, parse_cutoff("2024-02-01"), config=PopularConfig())
