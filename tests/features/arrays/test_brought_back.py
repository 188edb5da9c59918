"""What was brought back whole, as of a cutoff: through the ingest, kept, and asked of one or of all."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_home

from features.arrays.brought_back import BroughtBack
from features.shop import Shop
from models.popular import Popular, PopularConfig

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = [
    ("a", "2024-01-01", "kept", 1), ("a", "2024-01-01", "back", 2), ("a", "2024-01-09", "back", -2),
    ("a", "2024-01-01", "half", 2), ("a", "2024-01-09", "half", -1),
    ("a", "2024-01-01", "again", 1), ("a", "2024-01-09", "again", -1), ("a", "2024-02-01", "again", 1),
    ("a", "2024-01-01", "late", 1), ("a", "2024-03-05", "late", -1),
    ("all", "2024-01-01", "back", 1), ("all", "2024-01-09", "back", -1),
    ("b", "2024-01-01", "other", 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    lines = pd.DataFrame(ROWS, columns=["customer_id", "ordered_at", "product_id", "quantity"])
    lines["order_id"] = lines["customer_id"] + lines["ordered_at"] + (lines["quantity"] < 0).astype(str)
    return Shop(make_home(tmp_path_factory.mktemp("back"), lines.assign(unit_price=3.0)))


def test_only_what_went_back_whole_by_the_cutoff_counts(shop: Shop, tmp_path: Path) -> None:
    back, products = shop.brought_back(CUTOFF), shop.history(CUTOFF).products
    assert {name: products.names(back.products_of(name)) for name in ("a", "all", "b", "nobody")} == {
        "a": ["back"], "all": ["back"], "b": [], "nobody": [],
    }  # fmt: skip
    row, product = back.pairs(np.array([b"b", b"a, longer than any", b"a"]))
    assert (row.tolist(), products.names(product)) == ([2], ["back"])
    back.save(tmp_path)
    assert (
        BroughtBack.load(tmp_path, len(products)).products_of("all").tolist()
        == back.products_of("all").tolist()
    )


def test_it_is_new_to_nobody_who_had_it_not_even_to_who_brought_all_back(shop: Shop) -> None:
    model = Popular.fit(shop, CUTOFF, config=PopularConfig())
    said = model.recommend(model.state(shop, CUTOFF), ["a", "all", "b"], lists=("new_for_you",))
    new = said.groupby("customer_id")["product_id"].agg(set)
    assert new["a"] == {"other"}
    assert new["all"] == {"kept", "half", "again", "late", "other"}
    assert new["b"] == {"kept", "half", "again", "late", "back"}
