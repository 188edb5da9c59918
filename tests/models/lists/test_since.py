import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrays.history import History, Vocabulary
from models.lists.since import by_now

PRODUCTS, TODAY = ["cup", "jar", "pan"], 100
OLD = [("cup", 0, 50, 2.0), ("jar", 0, 50, 1.0), ("cup", 1, 70, 1.0)]  # product, order, day, quantity


def history() -> History:
    name, order, day, quantity = zip(*OLD, strict=True)
    products = Vocabulary.of(PRODUCTS)
    whole = [np.array(column, np.int32) for column in (products.codes(name), order, day)]
    money = [np.array(quantity, np.float32), np.ones(3, np.float32)]
    return History(Vocabulary.of(["ana"]), products, np.array([0, 3]), *whole, *money, TODAY)


def slowly(lines: list[tuple[str, float]]) -> list[tuple[str, int, float]]:
    """Every unit by itself: a return takes back the one bought last."""
    units = [(name, day) for name, _, day, quantity in OLD for _ in range(int(quantity))]
    for name, change in lines:
        units += [(name, TODAY)] * int(change) if name in PRODUCTS else []
        for _ in range(int(-change)):
            last = max((at for at, unit in enumerate(units) if unit[0] == name), default=len(units))
            del units[last : last + 1]
    return sorted((*unit, float(units.count(unit))) for unit in set(units))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*PRODUCTS, "?"]), st.integers(-3, 3).map(float)), max_size=6))
def test_a_return_takes_back_what_was_bought_last_and_the_new_is_one_order(lines: list) -> None:
    state = history()
    mine, fresh = by_now(state, 0, new_lines=lines)
    columns = (mine.products.names(mine.product), mine.day.tolist(), mine.quantity.tolist())
    found, new = sorted(zip(*columns, strict=True)), mine.day == TODAY
    assert found == slowly(lines)
    assert mine.products.names(fresh) == [name for name, day, _ in found if day == TODAY]
    assert {*mine.order[new].tolist()} <= {int(mine.order[~new].max(initial=-1)) + 1}
    assert np.isnan(mine.revenue[new]).all() and (mine.revenue[~new] == 1).all()
    assert (mine.indptr.tolist(), mine.cutoff_day) == ([0, len(found)], TODAY)
    assert state.quantity.tolist() == [2, 1, 1]


def test_half_a_kilo_brought_back_leaves_the_other_half() -> None:
    mine, fresh = by_now(history(), -1, new_lines=[("pan", 1.0), ("pan", -0.5)])
    assert (mine.quantity.tolist(), mine.order.tolist(), fresh.tolist()) == ([0.5], [0], [2])
