from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.kitchen import CUTOFF, kitchen_lines, kitchen_products
from worlds.orders import make_shop, order_lines, products, with_guests
from worlds.receipts import history_of, renewing

from features.errors import CannotLearn
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.clock.inputs import inputs
from models.clock.renewal import Renewal, Rhythm
from models.clock.spells import Spells
from models.repurchase import Repurchase, RepurchaseConfig

KNOWN_UNTIL = shift_days(CUTOFF, -28, timezone="UTC")
EVER = 100_000
"""Days: so far ahead that whoever comes back has come."""
purchases = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 20), st.integers(1, 3).map(float)),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:3],
)


@given(purchases)
@settings(max_examples=60, deadline=None)
def test_spells_are_those_of_a_loop_over_customers_and_products(rows: list) -> None:
    by_pair = defaultdict(dict)
    for customer, product, ago, quantity in rows:
        by_pair[customer, product][ago] = quantity
    spells = Spells.of(history_of(rows))
    for at, (pair, days) in enumerate(sorted(by_pair.items())):
        own = slice(spells.starts[at], spells.starts[at + 1])
        ago = sorted(days, reverse=True)
        assert (spells.customer[at], spells.product[at]) == pair
        assert spells.days[own].tolist() == [a - b for a, b in zip(ago, [*ago[1:], 0], strict=True)]
        assert spells.quantity[own].tolist() == [days[a] for a in ago]
        assert spells.open[own].tolist() == [False] * (len(ago) - 1) + [True]


def test_a_day_with_several_orders_starts_one_spell_with_all_their_units() -> None:
    spells = Spells.of(history_of([(0, 0, 9, 1.0), (0, 0, 9, 2.0), (0, 0, 2, 1.0)]))
    assert (spells.days.tolist(), spells.quantity.tolist()) == ([7, 2], [3, 1])


def test_of_nobody_there_are_no_spells() -> None:
    nobody = history_of([(0, 0, 9, 1.0)]).of_customers(np.zeros(0, np.int32))
    spells = Spells.of(nobody)
    assert len(spells) == len(spells.days) == len(spells.sums(spells.days)) == 0


def fitted(rows: list, category: list[int] | None = None) -> tuple[Spells, Renewal]:
    history = history_of(rows)
    spells = Spells.of(history)
    kind = np.array(category or [-1] * len(history.products), np.int32)
    return spells, Renewal.fit(spells, kind)


def test_the_chance_to_return_and_the_gap_of_a_known_process_are_found_again() -> None:
    _, found = fitted(renewing(3000, again=0.6, gap=30, spread=0.4))
    assert found.again[0] == pytest.approx(0.6, abs=0.04)
    assert np.exp(found.middle[0]) == pytest.approx(30, rel=0.07)
    assert found.power < 0.1


def test_two_packs_last_longer_by_the_power_that_is_in_the_orders() -> None:
    spells, found = fitted(renewing(2000, again=0.9, gap=15, spread=0.3, power=0.7))
    assert found.power == pytest.approx(0.7, abs=0.1)
    rhythm, last = found.rhythm(spells), spells.quantity[spells.last]
    assert rhythm.typical[last == 3].mean() > 1.8 * rhythm.typical[last == 1].mean()


def test_a_product_of_few_purchases_is_taken_for_its_category() -> None:
    coffee = [
        row for p in range(5) for row in renewing(150, again=0.9, gap=10, spread=0.3, product=p, seed=p)
    ]
    fridge = [(1000 + c, 5 + c % 5, 50 + c % 300, 1.0) for c in range(750)]
    new = [(5000, 10, 9, 1.0), (5000, 11, 9, 1.0)]
    spells, found = fitted(coffee + fridge + new, category=[0] * 5 + [1] * 5 + [0, 1])
    chance = found.rhythm(spells).chance(28)[spells.customer == 5000]
    assert chance[0] > 0.5
    assert chance[1] < 0.1


def test_who_waits_far_beyond_every_gap_is_taken_to_have_left() -> None:
    age = np.array([5.0, 25.0, 60.0, 300.0])
    rhythm = Rhythm(np.full(4, 0.8), np.full(4, np.log(20)), np.full(4, 0.4), age)
    assert (np.diff(rhythm.chance(EVER)) < 0).all()
    assert rhythm.chance(EVER)[-1] < 0.01
    assert np.isfinite(rhythm.due_in).tolist() == [True, True, False, False]


def test_the_chance_within_a_horizon_equals_a_simulation_of_the_process() -> None:
    rng = np.random.default_rng(0)
    rhythm = Rhythm(np.array([0.7]), np.array([np.log(20)]), np.array([0.5]), np.array([15.0]))
    gap = np.exp(np.log(20) + 0.5 * rng.normal(size=400_000))
    gap[rng.random(len(gap)) > 0.7] = np.inf
    left = gap[gap > 14.5] - 14.5
    assert rhythm.chance(14)[0] == pytest.approx((left <= 14).mean(), abs=0.005)
    assert rhythm.chance(EVER)[0] == pytest.approx(np.isfinite(left).mean(), abs=0.005)
    assert rhythm.due_in[0] == pytest.approx(np.median(left) - 0.5, abs=0.1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("kitchen"), kitchen_lines(), products=kitchen_products())


@pytest.fixture(scope="module")
def model(shop: Shop) -> Repurchase:
    return Repurchase.fit(shop, KNOWN_UNTIL, config=RepurchaseConfig())


def test_pairs_are_named_in_any_script(tmp_path: Path, model: Repurchase) -> None:
    lines = kitchen_lines().head(40).assign(customer_id="José", product_id="café ☕")
    found = model.predict(make_shop(tmp_path, lines), CUTOFF)
    assert found[["customer_id", "product_id"]].to_numpy().tolist() == [["José", "café ☕"]]


def test_the_weekly_coffee_is_due_within_days_and_the_fridge_is_not(shop: Shop, model: Repurchase) -> None:
    found = model.predict(shop, CUTOFF)
    chance = found["repurchase_probability_28d"]
    fridges = found["product_id"].str.startswith("fridges")
    favourite = chance[~fridges].groupby(found["customer_id"]).max()
    assert favourite.median() > 0.8
    assert chance[fridges].max() < 0.2
    assert found.loc[fridges, "due_at"].isna().all()
    due = (found["due_at"] - pd.Timestamp("2024-05-20")).dt.days
    assert (due.dropna() >= 0).all()
    assert due[chance > 0.8].median() <= 14


def test_the_expected_total_is_what_came_and_the_intervals_hold_it(tmp_path: Path) -> None:
    cutoff, end = parse_cutoff("2024-06-20"), parse_cutoff("2024-07-18")
    shop = make_shop(tmp_path, order_lines(120), products=products())
    came = shop.product_labels(cutoff, 28, known_until=end)
    found = Repurchase.fit(shop, cutoff, config=RepurchaseConfig()).demand(shop, cutoff)
    assert found["expected_buyers"].sum() == pytest.approx(len(came), rel=0.1)
    assert found["expected_units"].sum() == pytest.approx(came["quantity"].sum(), rel=0.1)
    units = came.groupby("product_id")["quantity"].sum().reindex(found["product_id"]).fillna(0).to_numpy()
    assert ((units >= found["p10"]) & (units <= found["p90"])).sum() >= 7  # of twelve; 80% are 9.6


def test_last_years_season_is_expected_of_the_products_that_had_it(tmp_path: Path) -> None:
    cutoff, end = parse_cutoff("2023-12-01"), parse_cutoff("2023-12-29")
    rng, days = np.random.default_rng(0), pd.date_range("2022-01-01", "2023-12-30")
    festive = [f"p{code:02d}" for code in range(9, 18)]
    advent = np.where(days.month == 12, 4.0, 1.0)
    sold = rng.poisson(3 * np.stack([np.ones(len(days))] * 9 + [advent] * 9, axis=1))
    day, product = (np.repeat(at, sold[sold > 0]) for at in np.nonzero(sold))
    lines = pd.DataFrame({"ordered_at": days[day], "product_id": [f"p{code:02d}" for code in product]})
    shop = make_shop(tmp_path, lines.assign(customer_id=rng.integers(0, 900, len(lines)).astype(str)))
    model = Repurchase.fit(shop, cutoff, config=RepurchaseConfig())
    said = model.demand(shop, cutoff).set_index("product_id")["expected_buyers"]
    came = shop.product_labels(cutoff, 28, known_until=end)["product_id"].value_counts()
    before = shop.product_labels(shift_days(cutoff, -28, timezone="UTC"), 28, known_until=cutoff)
    assert len(before) < 0.6 * came.sum()
    assert said.sum() == pytest.approx(came.sum(), rel=0.1)
    assert said[festive].sum() > 1.4 * said.drop(festive).sum()


def test_what_guests_buy_is_expected_as_well(tmp_path: Path) -> None:
    cutoff, end = parse_cutoff("2024-06-20"), parse_cutoff("2024-07-18")
    shop = make_shop(tmp_path, with_guests(order_lines(120)), products=products())
    known, came = (
        shop.product_labels(cutoff, 28, known_until=end, guests=guests) for guests in (False, True)
    )
    found = Repurchase.fit(shop, cutoff, config=RepurchaseConfig()).demand(shop, cutoff)
    assert len(came) > 1.2 * len(known)
    assert found["expected_buyers"].sum() == pytest.approx(len(came), rel=0.1)
    assert found["expected_units"].sum() == pytest.approx(came["quantity"].sum(), rel=0.1)


def test_guests_after_the_cutoff_change_nothing(tmp_path: Path) -> None:
    lines = order_lines()
    late = with_guests(lines[lines["ordered_at"] >= KNOWN_UNTIL.replace(tzinfo=None)])
    early = lines[lines["ordered_at"] < KNOWN_UNTIL.replace(tzinfo=None)]
    without, with_ = (
        make_shop(tmp_path / name, given, products=products())
        for name, given in (("without", early), ("with", pd.concat([early, late])))
    )
    model = Repurchase.fit(without, KNOWN_UNTIL, config=RepurchaseConfig())
    again = Repurchase.fit(with_, KNOWN_UNTIL, config=RepurchaseConfig())
    pd.testing.assert_frame_equal(
        again.demand(with_, KNOWN_UNTIL), model.demand(without, KNOWN_UNTIL), check_exact=True
    )


def test_nothing_ordered_after_the_cutoff_changes_a_forecast(
    shop: Shop, model: Repurchase, tmp_path: Path
) -> None:
    lines = kitchen_lines()
    early = make_shop(
        tmp_path, lines[lines["ordered_at"] < KNOWN_UNTIL.replace(tzinfo=None)], products=kitchen_products()
    )
    again = Repurchase.fit(early, KNOWN_UNTIL, config=RepurchaseConfig())
    pd.testing.assert_frame_equal(again.predict(early, KNOWN_UNTIL), model.predict(shop, KNOWN_UNTIL))


def test_days_of_cover_are_the_stock_over_the_daily_demand(shop: Shop, tmp_path: Path) -> None:
    stocked = make_shop(tmp_path, kitchen_lines(), products=kitchen_products().assign(stock=10.0))
    model = Repurchase.fit(stocked, KNOWN_UNTIL, config=RepurchaseConfig())
    first = model.demand(stocked, CUTOFF).iloc[0]
    assert first["days_of_cover"] == pytest.approx(10 / (first["expected_units"] / 28))
    assert model.demand(shop, CUTOFF)["days_of_cover"].isna().all()


def test_a_purchase_that_was_brought_back_is_no_purchase(tmp_path: Path) -> None:
    lines = kitchen_lines()[["customer_id", "order_id", "ordered_at", "product_id"]].assign(quantity=1.0)
    own = lines[lines["product_id"].str.startswith("fridges")].iloc[[0]]
    back = own.assign(ordered_at=own["ordered_at"] + pd.Timedelta(days=1), quantity=-1.0)
    kept, returned = (
        make_shop(tmp_path / name, pd.concat(parts))
        for name, parts in (("kept", [lines]), ("back", [lines, back]))
    )
    assert len(Spells.of(returned.history(CUTOFF))) == len(Spells.of(kept.history(CUTOFF))) - 1


@pytest.mark.parametrize("columns", [["customer_id", "ordered_at", "product_id"]])
def test_one_product_without_price_or_catalogue_is_enough(tmp_path: Path, columns: list[str]) -> None:
    lines = kitchen_lines().assign(product_id="coffee")
    shop = make_shop(tmp_path, lines[columns])
    found = Repurchase.fit(shop, KNOWN_UNTIL, config=RepurchaseConfig()).demand(shop, CUTOFF)
    assert found["product_id"].tolist() == ["coffee"]
    assert found["expected_buyers"].item() == pytest.approx(60, rel=0.1)


def test_where_nothing_was_ever_bought_twice_chances_are_near_zero(tmp_path: Path) -> None:
    lines = kitchen_lines().drop_duplicates(["customer_id", "product_id"])
    shop = make_shop(tmp_path, lines)
    found = Repurchase.fit(shop, KNOWN_UNTIL, config=RepurchaseConfig()).predict(shop, CUTOFF)
    assert found["repurchase_probability_28d"].max() < 0.05
    assert found["due_at"].isna().all()


def test_what_is_told_of_a_shop_asleep_for_decades_is_finite() -> None:
    rows = [(0, 0, 9000, 1.0), (0, 0, 9100, 1.0), (1, 1, 9050, 1.0)]
    spells, renewal = fitted(rows)
    found = inputs(history_of(rows), spells, rhythm=renewal.rhythm(spells), horizon_days=28)
    assert np.isfinite(found).all()


def test_orders_without_products_cannot_be_learnt_from(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, kitchen_lines()[["customer_id", "ordered_at"]])
    with pytest.raises(CannotLearn, match="needs product_id"):
        Repurchase.fit(shop, parse_cutoff("2024-04-01"), config=RepurchaseConfig())
