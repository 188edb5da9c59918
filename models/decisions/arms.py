"""Arms as columns: every action with every candidate, then the actions without a product; worth and rules."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Bools, Ints, Longs, Rows
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import Money, assumed_effect, incremental_margin
from models.policy.action_table import ActionTable
from models.policy.rules import (
    Days,
    Refusal,
    cannot_know,
    contact_refusals,
    first_refusal,
    frequency_cap,
    goods_refusals,
    just_bought,
    same_kind,
    timing,
)
from models.policy.standing import Standing
from models.policy.subjects import Goods

Codes = NDArray[np.int8]
PERMITTED, NO_ARM = -1, -2
"""Codes beside those of rules: no rule refuses; the action does not fit the product, or there is no
candidate."""
LEAST_CHANCE = 0.05
"""A learnt effect is applied to products relative to the chance of an order, taken as at least this."""


class ArmEconomics(NamedTuple):
    """The economics of every arm of n customers, each of shape (n, m): see ``ValuedArms``."""

    worth: Money
    spend: Money
    chance: Money
    moved: Money


class ValuedArms(NamedTuple):
    """Every arm of n customers: its worth, and the rule that refuses it; arrays of shape (n, m)."""

    table: ActionTable
    worth: Money
    """NaN if it cannot be known; anything where there is no arm."""
    spend: Money
    """Cost of the contact and the expected discount."""
    chance: Money
    """Chance of the purchase (without a product: of an order) if nothing is done."""
    moved: Money
    """How much the contact raises that chance."""
    refused: Codes
    """Position in ``rules`` of the first that refuses, -1 if none does, -2 if there is no arm."""
    barred: "BarredActions"
    rules: tuple[str, ...]


def weigh(case: Case, goods: Goods, *, terms: Terms, days: int = 0) -> ValuedArms:
    """Value every arm in money and apply every rule; rules of time look ``days`` days ahead (0: today)."""
    table = terms.table
    economics = economics_of(case, goods, table=table)
    barred = barred_actions(case, table, terms=terms, days=days)
    refusing = goods_rules(case, goods, terms=terms) if table.n_with_product else ()
    by_goods = first_refusal(refusing, case.product.shape)
    refused = refused_arms(case, table, worth=economics.worth, barred=barred, by_goods=by_goods)
    asked = (*barred.rules, cannot_know(economics.worth), *refusing)
    return ValuedArms(table, *economics, refused, barred, tuple(rule.rule for rule in asked))


def economics_of(case: Case, goods: Goods, *, table: ActionTable) -> ArmEconomics:
    """Return the economics of the arms with a product, followed by those without."""
    if not table.n_with_product:
        return _economics_without_product(case, table)
    with_product = _economics_with_product(case, goods, table)
    if len(table) == table.n_with_product:
        return with_product
    both = zip(with_product, _economics_without_product(case, table), strict=True)
    return ArmEconomics(*(np.hstack(pair) for pair in both))


def _economics_with_product(case: Case, goods: Goods, table: ActionTable) -> ArmEconomics:
    n, k = case.product.shape
    some = slice(table.n_with_product)
    chance = case.chance[:, None, :]
    moved = assumed_effect(chance, _lift(case, table)[:, :, None])
    discount = goods.price[case.product][:, None, :] * table.discount[some, None]
    cost = table.cost[some, None]
    worth = incremental_margin(
        chance, moved, margin=goods.margin[case.product][:, None, :], discount=discount, cost=cost
    )
    spend = cost + (chance + moved) * discount
    shape = (n, table.n_with_product * k)
    wide = np.broadcast_to(chance, worth.shape)
    return ArmEconomics(*(column.reshape(shape) for column in (worth, spend, wide, moved)))


def _lift(case: Case, table: ActionTable) -> Money:
    """Return the relative lift of each action on a chance: learnt, else assumed; shape (n or 1, actions)."""
    lift = table.effect[None, : table.n_with_product]
    if not case.learnt or case.standing is None:
        return lift
    lift = np.repeat(lift, len(case.product), axis=0)
    stays = np.maximum(1 - np.nan_to_num(case.standing.risk, nan=0.0), LEAST_CHANCE)
    for at, action in enumerate(table.actions[: table.n_with_product]):
        if action.name in case.learnt:
            lift[:, at] = case.learnt[action.name] / stays
    return lift


def _economics_without_product(case: Case, table: ActionTable) -> ArmEconomics:
    n, some = len(case.product), slice(table.n_with_product, None)
    standing = Standing.unknown(n) if case.standing is None else case.standing
    moved = standing.risk[:, None] * table.effect[some]
    for at, action in enumerate(table.actions[some]):
        if action.name in case.learnt:
            moved[:, at] = case.learnt[action.name]
    chance = 1 - standing.risk[:, None]
    discount = np.where(table.discount[some] > 0, standing.basket[:, None] * table.discount[some], 0.0)
    cost = table.cost[some]
    worth = incremental_margin(chance, moved, margin=standing.margin[:, None], discount=discount, cost=cost)
    return ArmEconomics(
        worth, cost + (chance + moved) * discount, np.broadcast_to(chance, worth.shape), moved
    )


class BarredActions(NamedTuple):
    """The effect of rules on whole actions, each of shape (n, n_actions)."""

    first: Codes
    """Position in ``rules`` of the first that bars the action, -1 if none does."""
    opens: Days
    """Days until the rules of time permit the action; 0 or less: now."""
    closes: Days
    """Days until it is too late."""
    rules: tuple[Refusal, ...]


def barred_actions(case: Case, table: ActionTable, *, terms: Terms, days: int) -> BarredActions:
    """Return the result of every rule about people and time for the next ``days`` days, by action."""
    shape, economics = (len(case.product), len(table)), terms.economics
    if case.standing is None:
        asked = contact_refusals(case.people, economics)
        rules = tuple(rule._replace(mask=rule.mask[:, None]) for rule in asked)
        return BarredActions(first_refusal(rules, shape), np.zeros(shape), np.full(shape, np.inf), rules)
    recorded = case.people.consent_recorded
    when = timing(
        case.standing, table, economics=economics, policy=terms.policy, recorded=recorded, days=days
    )
    cap = frequency_cap(case.people, economics)
    *rest, meant = when.refusals
    rules = (*rest, cap._replace(mask=cap.mask[:, None]), meant)
    return BarredActions(first_refusal(rules, shape), when.opens, when.closes, rules)


def goods_rules(case: Case, goods: Goods, *, terms: Terms) -> tuple[Refusal, ...]:
    """Return the result of every rule about products for the candidates, each broadcasting to (n, k)."""
    none = np.zeros(1, bool)
    return (
        *goods_refusals(goods, case.product),
        just_bought(case.days_since_bought, terms.just_bought_days),
        same_kind(none if case.kind_cooling is None else case.kind_cooling),
    )


def refused_arms(
    case: Case, table: ActionTable, *, worth: Money, barred: BarredActions, by_goods: Codes
) -> Codes:
    """Return the first rule that refuses each arm: of people and time, unknown worth, then of goods.

    ``by_goods`` are positions among the rules of goods, shape (n, k).
    """
    n, k = case.product.shape
    n_with, unknown = table.n_with_product, len(barred.rules)
    by_worth = np.where(np.isfinite(worth), np.int8(PERMITTED), np.int8(unknown))
    goods = np.where(by_goods >= 0, by_goods + np.int8(unknown + 1), by_goods)[:, None, :]
    offers, others = by_worth[:, : n_with * k].reshape(n, n_with, k), by_worth[:, n_with * k :]
    refused = _first_of(barred.first[:, :n_with, None], _first_of(offers, goods))
    refused = np.where(_fits(case, table), refused, np.int8(NO_ARM))
    return np.hstack([refused.reshape(n, n_with * k), _first_of(barred.first[:, n_with:], others)])


def _first_of(rule: Codes, then: Codes) -> Codes:
    """Return the position of the rule that refuses; where none does, ``then``."""
    return np.where(rule >= 0, rule, then)


def _fits(case: Case, table: ActionTable) -> Bools:
    """Mark where an action fits a candidate; shape (n, n_with_product, k), or 1 in place of the second."""
    real = (case.product >= 0)[:, None, :]
    if case.role is None:
        return real
    return np.asarray(real & ((case.role[:, None, :] & table.role[: table.n_with_product, None]) != 0))


def arm_codes(product: Ints, table: ActionTable) -> Longs:
    """Return a code for every arm, equal where action and product are; in a tie the lower code wins."""
    n, k = product.shape
    many = np.int64(2**32)
    pairs = product[:, None, :] + many * np.arange(table.n_with_product, dtype=np.int64)[:, None]
    alone = many * np.arange(table.n_with_product, len(table), dtype=np.int64)
    return np.hstack([pairs.reshape(n, table.n_with_product * k), np.broadcast_to(alone, (n, len(alone)))])


def best_arm(arms: ValuedArms, product: Ints) -> Rows:
    """Return each row's best permitted arm, -1 where none is worth more than nothing."""
    if not arms.worth.shape[1]:
        return np.full(len(arms.worth), NOTHING, np.intp)
    earned = np.where((arms.refused == PERMITTED) & (arms.worth > 0), arms.worth, 0.0)
    most = earned.max(axis=1)
    codes = np.where(earned == most[:, None], arm_codes(product, arms.table), np.iinfo(np.int64).max)
    return np.where(most > 0, codes.argmin(axis=1), NOTHING)


def repeated(code: Longs, worth: Money) -> Bools:
    """Mark all but the best occurrence of an arm in a row: two lists may contain the same product."""
    order = np.lexsort((-worth, code), axis=1)
    sorted_ = np.take_along_axis(code, order, axis=1)
    again = np.zeros(code.shape, bool)
    again[:, 1:] = sorted_[:, 1:] == sorted_[:, :-1]
    mask = np.empty_like(again)
    np.put_along_axis(mask, order, again, axis=1)
    return mask
