"""What one request starts from (the cart before the latest purchases), and what it may not show."""

import numpy as np
from worlds.receipts import history_of
from worlds.rules import no_rules

from features.arrays.dtypes import Ints
from models.lists.live_request import LiveRequest

N = 9


def codes(*products: int) -> Ints:
    return np.array(products, np.int32)


NOTHING = codes()


def request(*, cart: Ints = NOTHING, gone: Ints = NOTHING, barred: Ints = NOTHING) -> LiveRequest:
    """Ask for one who bought 0 to 6, a product a day."""
    mine = history_of([(0, product, 10 - product, 1.0) for product in range(7)], n_products=N)
    bars = np.isin(np.arange(N), barred)
    return LiveRequest(mine, 0, cart, fresh=NOTHING, barred=bars, k=5, gone=gone)


def test_a_list_starts_from_the_cart_and_without_one_from_the_last_five_purchases() -> None:
    assert request(cart=codes(8)).seeds.tolist() == [8]
    assert request().seeds.tolist() == [2, 3, 4, 5, 6]


def test_what_was_brought_back_is_not_new_but_may_be_shown_elsewhere() -> None:
    asked, every = request(gone=codes(7), barred=codes(8)), codes(*range(N))
    shown = {
        name: np.flatnonzero(~asked.bars(no_rules(N), name, product=every)).tolist()
        for name in ("new_for_you", "buy_again", "popular")
    }
    assert shown == {"new_for_you": [], "buy_again": [*range(7)], "popular": [*range(8)]}
