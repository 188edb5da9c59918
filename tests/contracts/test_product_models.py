"""What every model that makes lists keeps to, whichever it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, SMALL, board

from models.kinds import ListModel
from models.lists.list_kinds import PERSONAL
from models.lists.picks import COLUMNS
from models.model import Model
from models.registry import MODELS, model_class

LIST_MODELS = [name for name in MODELS if issubclass(model_class(name), ListModel)]


def config_of(model: type[Model]) -> Any:
    small = SMALL.model_dump()
    return model.Config(**{key: small[key] for key in small if key in model.Config.model_fields})


@pytest.fixture(scope="module", params=LIST_MODELS)
def fitted(request: pytest.FixtureRequest) -> Any:
    shop, cross_sell, _ = board()
    kind = model_class(request.param)
    return cross_sell if kind is type(cross_sell) else kind.fit(shop, CUTOFF, config=config_of(kind))


def answer(model: Any, **options: Any) -> pd.DataFrame:
    shop, _, _ = board()
    found: pd.DataFrame = model.recommend(model.state(shop, CUTOFF), **options)
    return found


def test_saved_and_loaded_it_says_the_same(fitted: Any, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    again = type(fitted).load(tmp_path)
    assert (again.config, again.trained_until) == (fitted.config, fitted.trained_until)
    pd.testing.assert_frame_equal(answer(again, k=5), answer(fitted, k=5))


def test_nothing_is_saved_as_a_pickle(fitted: Any, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*")} <= {".json", ".npy", ".npz", ".txt"}


def test_the_same_seed_gives_the_same_lists(fitted: Any) -> None:
    shop, _, _ = board()
    again = type(fitted).fit(shop, CUTOFF, config=fitted.config)
    pd.testing.assert_frame_equal(answer(again, k=10), answer(fitted, k=10))


@pytest.mark.parametrize("k", [1, 7, 200])
def test_lists_are_exactly_min_k_eligible_unique_and_of_the_right_kind(fitted: Any, k: int) -> None:
    shop, _, state = board()
    bought = pd.DataFrame({"c": state.history.customer, "p": state.history.product}).drop_duplicates()
    n_own = bought.groupby("c").size().to_numpy()
    n_products = len(state.history.products)
    table = answer(fitted, k=k)
    assert table.columns.tolist() == list(COLUMNS)
    sizes = table.groupby(["list", "customer_id"]).size().unstack(fill_value=0)
    for name, eligible in (
        ("for_you", n_products),
        ("buy_again", n_own),
        ("new_for_you", n_products - n_own),
    ):
        assert (sizes.loc[name].to_numpy() == np.minimum(k, eligible)).all()
    assert not table.duplicated(["customer_id", "list", "product_id"]).any()
    own = {
        *zip(
            state.history.customers.names(bought["c"]), state.history.products.names(bought["p"]), strict=True
        )
    }
    mine = [pair in own for pair in zip(table["customer_id"], table["product_id"], strict=True)]
    assert pd.Series(mine)[table["list"] == "buy_again"].all()
    assert not pd.Series(mine)[table["list"] == "new_for_you"].any()


def test_ranks_count_from_one_and_scores_never_rise(fitted: Any) -> None:
    lists = answer(fitted, k=9).groupby(["list", "customer_id"])
    assert (lists["rank"].min() == 1).all()
    assert lists["score"].apply(lambda scores: scores.is_monotonic_decreasing).all()


def test_one_customer_alone_gets_what_they_get_among_all(fitted: Any) -> None:
    everyone, alone = answer(fitted, k=6), answer(fitted, customers=["c011"], k=6)
    same = everyone[everyone["customer_id"] == "c011"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, same)


def test_nobody_asked_nobody_answered(fitted: Any) -> None:
    assert answer(fitted, customers=[], k=6).empty


def test_only_the_lists_asked_for_come(fitted: Any) -> None:
    for name in PERSONAL:
        assert {*answer(fitted, k=2, lists=(name,))["list"]} == {name}
