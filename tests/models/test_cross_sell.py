from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, SMALL, START, board, board_lines, colour, habit_of
from worlds.orders import make_shop

from features.errors import CannotLearn
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.cross_sell import CrossSell
from models.ranking import cross_sell_rows
from models.ranking.cross_sell_rows import learning_rows
from models.ranking.ranker import corrected

COLUMNS = ["customer_id", "list", "rank", "product_id", "score", "source"]
END = shift_days(CUTOFF, 28, timezone="UTC")


def learnt(shop: Shop, cutoff: str, **options: object) -> tuple[CrossSell, pd.DataFrame]:
    model = CrossSell.fit(shop, parse_cutoff(cutoff), config=SMALL.model_copy(update=options))
    return model, model.recommend(model.state(shop, parse_cutoff(cutoff)), k=5)


def hits(table: pd.DataFrame, list_name: str, truth: set[tuple[str, str]]) -> float:
    shown = table[(table["list"] == list_name) & (table["rank"] <= 5)]
    return float(
        np.mean([pair in truth for pair in zip(shown["customer_id"], shown["product_id"], strict=True)])
    )


def truth_of(shop: Shop) -> set[tuple[str, str]]:
    bought = shop.product_labels(CUTOFF, 28, known_until=END)
    return {*zip(bought["customer_id"], bought["product_id"], strict=True)}


def test_new_products_are_of_the_customers_colour() -> None:
    _, model, state = board()
    table = model.recommend(state, k=5, lists=("new_for_you",))
    right = [colour(c) == colour(p) for c, p in zip(table["customer_id"], table["product_id"], strict=True)]
    assert np.mean(right) > 0.95


def test_the_habit_leads_the_list() -> None:
    _, model, state = board()
    table = model.recommend(state, k=1, lists=("for_you",)).set_index("customer_id")
    leads = [table.loc[f"c{c:03d}", "product_id"] == habit_of(c) for c in range(60)]
    assert np.mean(leads) > 0.95


def test_it_beats_what_it_must_beat_where_colours_decide() -> None:
    shop, model, state = board()
    truth, ours = truth_of(shop), model.recommend(state, k=5)
    others = model.baselines(shop, CUTOFF, cutoff=CUTOFF, k=5)
    assert {*others} == {*model.must_beat}
    assert hits(ours, "new_for_you", truth) > 1.3 * hits(others["personal_frequency"], "new_for_you", truth)
    assert hits(ours, "for_you", truth) >= hits(others["popularity"], "for_you", truth) * 1.3


def test_what_must_be_beaten_of_some_customers_is_what_it_is_of_all() -> None:
    shop, model, _ = board()
    whole = model.baselines(shop, CUTOFF, cutoff=CUTOFF, k=5)["popularity"]
    some = model.baselines(shop, CUTOFF, cutoff=CUTOFF, k=5, customers=["c002", "nobody", "c007"])[
        "popularity"
    ]
    asked = whole[whole["customer_id"].isin(["c002", "c007"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some.reset_index(drop=True), asked)


def test_chances_are_calibrated() -> None:
    shop, model, state = board()
    truth, table = truth_of(shop), model.recommend(state, k=10, lists=("for_you",))
    bought = [pair in truth for pair in zip(table["customer_id"], table["product_id"], strict=True)]
    assert table["score"].between(0, 1).all()
    assert table["score"].mean() == pytest.approx(np.mean(bought), abs=0.08)


def test_correcting_for_sampled_negatives_restores_the_odds() -> None:
    chance = 0.02
    among_sampled = chance / (chance + 0.1 * (1 - chance))
    assert corrected(np.array([0.0, among_sampled, 1.0]), 0.1) == pytest.approx([0, chance, 1], rel=1e-4)


def test_in_a_shop_where_nothing_is_bought_twice_nothing_bought_is_shown(tmp_path: Path) -> None:
    lines = board_lines(40, n_products=120).drop_duplicates(["customer_id", "product_id"])
    lines = lines[lines["ordered_at"] < "2024-05-01"]
    _, table = learnt(make_shop(tmp_path, lines), "2024-05-01")
    assert (table.loc[table["list"] == "for_you", "source"] != "own").mean() > 0.98


def test_threads_change_no_row_and_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, model, state = board()
    monkeypatch.setattr(cross_sell_rows, "CHUNK", 5 * len(state.assortment))  # a piece is a few customers
    rows, lists = [], []
    for told in ("1", "3"):
        monkeypatch.setenv("RECOMPRA_THREADS", told)
        found = learning_rows(shop, CUTOFF, config=SMALL.model_copy(update={"n_windows": 1}), horizon_days=28)
        rows.append(np.column_stack([found.features, found.bought]))
        again = CrossSell(model.config, model.trained_until, horizon_days=28, ranker=model.ranker)
        lists.append(again.recommend(state, k=5))
    np.testing.assert_array_equal(*rows)
    pd.testing.assert_frame_equal(*lists)


def test_later_orders_change_no_list(tmp_path: Path) -> None:
    lines = board_lines(30)
    early = make_shop(tmp_path / "early", lines[lines["ordered_at"] < "2024-05-20"])
    late = make_shop(tmp_path / "late", lines)
    tables = [learnt(shop, "2024-05-20", n_trees=10)[1] for shop in (early, late)]
    pd.testing.assert_frame_equal(*tables)


def test_the_unknown_get_what_sells_beside_the_known() -> None:
    _, model, state = board()
    table = model.recommend(state, ["c003", "nobody"], k=4)
    assert {*table.loc[table["customer_id"] == "nobody", "source"]} == {"popular"}
    assert table["customer_id"].tolist().count("c003") == 12
    everyone = model.recommend(state, k=4)
    same = everyone[everyone["customer_id"] == "c003"].reset_index(drop=True)
    alone = table[table["customer_id"] == "c003"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone[COLUMNS], same[COLUMNS])


def test_too_short_a_history_says_what_would_do(tmp_path: Path) -> None:
    lines = board_lines(10)
    shop = make_shop(tmp_path, lines[lines["ordered_at"] < "2024-02-01"])
    with pytest.raises(CannotLearn, match="a horizon of 28 days needs 56 days"):
        learnt(shop, "2024-02-01")


def test_too_few_purchases_say_so(tmp_path: Path) -> None:
    lines = board_lines(2).iloc[::8]
    with pytest.raises(CannotLearn, match="purchases to learn from"):
        learnt(make_shop(tmp_path, lines), "2024-05-20", n_windows=1)


@pytest.mark.parametrize(
    "dropped", [[], ["unit_price"], ["order_id"], ["unit_price", "quantity", "order_id"]]
)
def test_it_works_without_prices_catalogue_and_order_ids(tmp_path: Path, dropped: list[str]) -> None:
    shop = make_shop(tmp_path, board_lines(20).drop(columns=dropped))
    _, table = learnt(shop, "2024-05-20", n_trees=10)
    assert table.groupby(["customer_id", "list"]).size().unstack()["for_you"].eq(5).all()


def test_a_catalogue_of_one_product_and_a_horizon_of_a_day(tmp_path: Path) -> None:
    lines = board_lines(20).assign(product_id="only")
    lines = lines.groupby("order_id", as_index=False).first()
    shop = make_shop(tmp_path, lines)
    model, table = learnt(shop, "2024-05-20", horizon_days=1, n_trees=5)
    assert table.groupby("list").size().to_dict() == {"for_you": 20, "buy_again": 20}
    assert model.horizon_days == 1


def test_a_customer_of_one_line_and_one_of_ten_thousand(tmp_path: Path) -> None:
    lines = board_lines(20)
    rng = np.random.default_rng(0)
    moments = pd.Timestamp(START) + pd.to_timedelta(rng.integers(0, 139, 10_000), "D")
    products = [f"p{code:03d}" for code in rng.integers(0, 80, 10_000)]
    orders = [f"h{number}" for number in range(10_000)]
    heavy = pd.DataFrame(
        {"customer_id": "heavy", "order_id": orders, "ordered_at": moments, "product_id": products}
    )
    light = pd.DataFrame(
        {"customer_id": ["light"], "order_id": ["l"], "ordered_at": [moments[0]], "product_id": ["p001"]}
    )
    shop = make_shop(tmp_path, pd.concat([lines, heavy, light], ignore_index=True).assign(unit_price=2.0))
    _, table = learnt(shop, "2024-05-20", n_trees=10)
    sizes = table.groupby(["customer_id", "list"]).size()
    assert sizes["heavy"].to_dict() == {"for_you": 5, "buy_again": 5}
    assert sizes["light"].to_dict() == {"for_you": 5, "buy_again": 1, "new_for_you": 5}


def test_its_figures_tell_how_much_each_voice_weighs() -> None:
    _, model, state = board()
    assert model.ranker.net and model.ranker.plain
    figures = model.figures(state, ["c000"], products=["p000"])
    assert figures["net share"] == model.config.net_share > 0
    assert figures["plain share"] == model.ranker.plain.share > 0
