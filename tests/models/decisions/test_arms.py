"""What an arm is worth and spends, in money, beside the same sums written one customer at a time."""

from dataclasses import replace

import numpy as np
from worlds.decisions import TERMS, some, without

from models.decisions.arms import NO_ARM, economics_of, weigh
from models.decisions.economics import Money
from models.policy.subjects import People

N, K = 40, 6


def test_what_is_spent_is_the_contact_and_the_discount_of_all_who_then_buy() -> None:
    asked, shelf = some(0, N, K)
    table, standing = TERMS.table, asked.standing
    assert standing is not None
    spend = economics_of(asked, shelf, table=table).spend
    parts = np.split(spend, np.cumsum([K] * table.n_with_product), axis=1)
    for at, part in enumerate(parts[:-1]):
        buying = np.minimum(asked.chance * (1 + table.effect[at]), 1)
        given = buying * shelf.price[asked.product] * table.discount[at]
        np.testing.assert_allclose(part, table.cost[at] + given)
    for at in range(table.n_with_product, len(table)):
        ordering = 1 - standing.risk * (1 - table.effect[at])
        given = np.where(
            table.discount[at] > 0, ordering * standing.basket * table.discount[at], 0 * ordering
        )
        np.testing.assert_allclose(parts[-1][:, at - table.n_with_product], table.cost[at] + given)
    assert (table.discount[: table.n_with_product] > 0).any() and (
        table.discount[table.n_with_product :] > 0
    ).any()


def test_a_learnt_change_lifts_a_products_chance_by_its_share_of_those_who_order() -> None:
    asked, shelf = some(1, N, K)
    name = TERMS.table.actions[0].name

    def learnt(risk: float, change: float) -> Money:
        assert asked.standing is not None
        people = without(asked.standing, risk=np.full(N, risk))
        taught = replace(asked, standing=people, learnt={name: np.full(N, change)})
        return economics_of(taught, shelf, table=TERMS.table).worth[:, :K]

    np.testing.assert_allclose(learnt(0.5, 0.1), learnt(0.0, 0.2))
    np.testing.assert_allclose(learnt(0.9, 0.01), learnt(0.0, 0.1))
    np.testing.assert_allclose(learnt(1.0, 0.01), learnt(0.95, 0.01))  # nobody's share is without bounds
    np.testing.assert_allclose(learnt(np.nan, 0.2), learnt(0.0, 0.2))
    assert np.nanmin(learnt(0.0, 0.2) - learnt(0.0, 0.1)) < 0 < np.nanmax(learnt(0.0, 0.2) - learnt(0.0, 0.1))


def test_only_a_discount_needs_to_know_what_a_usual_order_comes_to() -> None:
    asked, shelf = some(2, N, 0)
    assert asked.standing is not None
    people = without(asked.standing, basket=np.full(N, np.nan), risk=np.full(N, 0.5))
    table = TERMS.table
    known = np.isfinite(economics_of(replace(asked, standing=people), shelf, table=table).worth).all(axis=0)
    assert known.tolist() == (table.discount[table.n_with_product :] == 0).tolist()


def test_who_has_had_the_most_contacts_allowed_is_told_so_of_actions_meant_for_others_too() -> None:
    asked, shelf = some(3, N, K)
    full = People(asked.people.consent, np.full(N, 99, np.int32))
    before, after = (weigh(replace(asked, people=who), shelf, terms=TERMS) for who in (asked.people, full))
    told = [{arms.rules[code] for code in arms.barred.first.ravel() if code >= 0} for arms in (before, after)]
    assert "not_meant" in told[0] and "not_meant" not in told[1]


def test_where_there_is_no_candidate_there_is_no_arm() -> None:
    asked, shelf = some(4, N, K)
    fine = replace(shelf, stock=np.full_like(shelf.stock, np.nan), hidden=np.zeros_like(shelf.hidden))
    n_with = TERMS.table.n_with_product
    refused = weigh(asked, fine, terms=TERMS).refused[:, : n_with * K].reshape(N, n_with, K)
    assert (refused == NO_ARM)[np.broadcast_to(asked.product[:, None] < 0, refused.shape)].all()
