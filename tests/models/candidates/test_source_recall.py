import numpy as np
from worlds.checkerboard import CUTOFF, board

from features.window import shift_days
from models.candidates.source_recall import source_recall
from models.candidates.sources import new_sources
from models.candidates.union import candidates
from models.cross_sell import CrossSellConfig

BUDGETS = dict.fromkeys(CrossSellConfig().budgets, 6)


def first_purchases() -> tuple[np.ndarray, np.ndarray]:
    shop, _, state = board()
    bought = shop.product_labels(CUTOFF, 28, known_until=shift_days(CUTOFF, 28, timezone=shop.timezone))
    customer = state.history.customers.codes(bought["customer_id"].tolist())
    product = state.history.products.codes(bought["product_id"].tolist())
    before = {*zip(state.history.customer.tolist(), state.history.product.tolist(), strict=True)}
    new = [pair not in before for pair in zip(customer.tolist(), product.tolist(), strict=True)]
    return customer[new], product[new]


def slowly(customer: np.ndarray, product: np.ndarray) -> dict[str, set[tuple[int, int]]]:
    """Ask each source alone, and keep what came true."""
    _, _, state = board()
    everyone, truth = (
        np.arange(len(state.history.customers), dtype=np.int32),
        {*zip(customer, product, strict=True)},
    )
    found = {}
    for name in BUDGETS:
        pairs = candidates(state, everyone, sources=new_sources(state, {name: 6}), n_own=0)
        found[name] = {*zip(pairs.customer.tolist(), pairs.product.tolist(), strict=True)} & truth
    return found


def test_recall_and_loss_are_those_of_each_source_asked_alone() -> None:
    customer, product = first_purchases()
    _, _, state = board()
    shown, slow = (
        source_recall(state, customer, product=product, sources=new_sources(state, BUDGETS)),
        slowly(customer, product),
    )
    for name, hits in slow.items():
        others = set().union(*(found for other, found in slow.items() if other != name))
        assert shown[name]["recall"] == len(hits) / len(customer)
        assert shown[name]["only"] == len(hits - others) / len(customer)
        assert shown[name]["proposed"] <= 6
    assert shown["all"]["recall"] == len(set().union(*slow.values())) / len(customer)


def test_without_a_purchase_to_find_there_is_nothing_to_tell() -> None:
    _, _, state = board()
    nobody = np.zeros(0, np.int32)
    assert source_recall(state, nobody, product=nobody, sources=new_sources(state, BUDGETS)) == {}
