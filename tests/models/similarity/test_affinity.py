import numpy as np
from worlds.checkerboard import board

from features.arrays.history import History
from features.arrays.pairs import SCORES
from models.candidates.state import ListState
from models.similarity.affinity import CAP
from models.similarity.collaborative import Neighbours


def told(near: Neighbours, product: int, taste: np.ndarray) -> float:
    """What the neighbours of a product say of a customer."""
    known = near.product[product] >= 0
    return float(taste[near.product[product][known]] @ near.score[product][known])


def slowly(  # noqa: PLR0917 (a reference)
    state: ListState, history: History, rows: slice, code: int, product: int, cart: list[int]
) -> list[float]:
    taste = np.zeros(len(history.products))
    np.add.at(taste, history.product[rows], 2.0 ** ((history.day[rows] - history.cutoff_day) / 112))
    np.add.at(taste, np.array(cart, int), 1)
    tables = (state.neighbours, state.together, state.texts)
    linear = told(state.linear, product, np.sqrt(np.minimum(taste, CAP)))
    factors = float(state.customer_factors[code] @ state.product_factors[product])
    liked = dict(zip(state.alike.product[code].tolist(), state.alike.score[code].tolist(), strict=True))
    known = [factors, liked.get(product, 0)] if code >= 0 else [0, 0]
    return [*(told(near, product, taste) for near in tables), linear, *known]


def test_scores_of_pairs_are_what_the_tables_say() -> None:
    state = board()[2]
    codes, cart, shown = np.array([3, 7, 11], np.int32), [4, 4, 9], state.assortment[:25]
    history = state.history.of_customers(codes)
    codes[1] = -1  # the state does not know this one, whatever they bought
    customer, product = np.repeat(np.arange(3, dtype=np.int32), len(shown)), np.tile(shown, 3)
    found = state.scores(history, codes, customer=customer, product=product, cart=np.array(cart, np.int32))
    for row, who, code in zip(found, customer.tolist(), product.tolist(), strict=True):
        in_cart = cart if who == len(codes) - 1 else []
        expected = slowly(state, history, history.rows(who), int(codes[who]), code, in_cart)
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)
    assert found.shape == (len(product), len(SCORES))
    assert (found[:, [0, 3, 4, 5]] != 0).any(axis=0).all()
