"""The next best offer over arrays: one customer at request time or all of them in a batch, the same function.

An offer's worth is the margin expected with it less the margin expected without it. Doing nothing is worth
0 and is chosen whenever no permitted offer is worth more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.errors import ArtefactError
from features.history import Ints
from features.settings import Economics
from models.contact_policy import (
    Goods,
    Mask,
    People,
    Refusal,
    cannot_know,
    contact_refusals,
    excluded,
    first_refusal,
    goods_refusals,
    just_bought,
)
from models.decisions.economics import Money, assumed_effect, incremental_margin

NOTHING = -1
"""The code of doing nothing, among products."""


class Terms(BaseModel):
    """The conditions of an offer, in the shop's currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    horizon_days: int = Field(ge=1)
    """The chances are those of a purchase within so many days."""
    currency: str = ""
    """ISO 4217 code, empty where unknown."""
    economics: Economics = Economics()
    """Costs, caps and assumed effects."""
    just_bought_days: int = Field(default=7, ge=0)
    """A product bought so few days ago is not offered."""
    discount_share: float = Field(default=0.0, ge=0, le=1)
    """Discount that comes with the offer, as a share of the price."""
    effect: str = "assumed"
    """Where the effect of an offer comes from: ``assumed`` until an experiment has been learnt from."""

    @property
    def money(self) -> str:
        """The name of the column that holds an offer's worth."""
        return f"expected_incremental_margin_{self.horizon_days}d"

    @property
    def probability(self) -> str:
        """The name of the column that holds the chance of a purchase."""
        return f"purchase_probability_{self.horizon_days}d"


@dataclass(frozen=True)
class Case:
    """Who could be offered what: n customers, k candidates each (codes, -1 where a row has fewer)."""

    people: People
    product: Ints
    chance: Money
    """Calibrated chance of a purchase within the horizon if nothing is done, shape (n, k)."""
    days_since_bought: Money
    """Days since the customer's last purchase of the candidate, NaN if never; shape (n, k)."""
    excluded: Mask | None = None
    """Candidates that the caller does not want offered, shape (n, k)."""

    @classmethod
    def of_one(cls, people: People, product: Any, chance: Any, days_since_bought: Any) -> Self:
        """Build the case of one customer (``people`` of length 1) from sequences of length k."""
        products = np.asarray(product, np.int32).reshape(1, -1)
        chances = np.asarray(chance, np.float64).reshape(1, -1)
        return cls(people, products, chances, np.asarray(days_since_bought, np.float64).reshape(1, -1))


@dataclass(frozen=True)
class Decision:
    """What to do with each of n customers. Codes are those of the case; ``NOTHING`` is -1."""

    choice: Ints
    money: Money
    """Worth of the choice, shape (n,); 0 for nothing."""
    chance: Money
    """Chance of buying the chosen product if nothing is done, shape (n,); NaN for nothing."""
    worth: Money
    """Worth of every candidate, shape (n, k); NaN where it cannot be known or there is no candidate."""
    order: Ints
    """Columns of the permitted candidates, best first, then -1; shape (n, k)."""
    refused: NDArray[np.int8]
    """Position in ``rules`` of the first that refuses a candidate, -1 where none does; shape (n, k)."""
    rules: tuple[str, ...]
    reasons: tuple[str, ...]

    def why(self, code: int) -> dict[str, str]:
        """Return the name of a rule and its reason in words."""
        return {"rule": self.rules[code], "reason": self.reasons[code]}


def choose(case: Case, goods: Goods, terms: Terms) -> Decision:
    """Choose for every customer the permitted offer that is worth most, or nothing.

    Assumes that an offer lifts each chance by the same share (``terms.economics.offer_lift``) and sells one
    unit; wrong where it merely brings a purchase forward. Ties go to doing nothing, then to the product of
    the lower code.
    """
    worth = incremental_margin(
        case.chance,
        assumed_effect(case.chance, terms.economics.offer_lift),
        margin=goods.margin[case.product],
        discount=goods.price[case.product] * terms.discount_share,
        cost=terms.economics.contact_cost,
    )
    worth = np.where(case.product >= 0, worth, np.nan)
    refusals = _refusals(case, goods, terms, worth)
    refused = first_refusal(refusals, worth.shape)
    permitted = np.where(refused < 0, case.product, NOTHING)
    order = _best_first(worth, case.product, (permitted >= 0) & ~_repeated(permitted, worth))
    choice, money, chance = _pick(case, worth, order)
    rules, reasons = zip(*((r.rule, r.why) for r in refusals), strict=True)
    return Decision(choice, money, chance, worth, order, refused, rules, reasons)


def _refusals(case: Case, goods: Goods, terms: Terms, worth: Money) -> tuple[Refusal, ...]:
    return (
        *(r._replace(mask=r.mask[:, None]) for r in contact_refusals(case.people, terms.economics)),
        cannot_know(worth),
        *goods_refusals(goods, case.product),
        excluded(np.zeros(worth.shape, bool) if case.excluded is None else case.excluded),
        just_bought(case.days_since_bought, terms.just_bought_days),
    )


def _best_first(worth: Money, product: Ints, allowed: NDArray[np.bool_]) -> Ints:
    key = np.where(allowed, -worth, np.inf)
    order = np.lexsort((product, key), axis=1).astype(np.int32)
    return np.where(np.take_along_axis(allowed, order, axis=1), order, NOTHING)


def _pick(case: Case, worth: Money, order: Ints) -> tuple[Ints, Money, Money]:
    if not order.shape[1]:
        n = len(order)
        return np.full(n, NOTHING, np.int32), np.zeros(n), np.full(n, np.nan)
    rows, best = np.arange(len(order)), order[:, 0]
    pays = (best >= 0) & (np.nan_to_num(worth[rows, best]) > 0)
    choice = np.where(pays, case.product[rows, best], NOTHING).astype(np.int32)
    return choice, np.where(pays, worth[rows, best], 0.0), np.where(pays, case.chance[rows, best], np.nan)


def _repeated(product: Ints, worth: Money) -> NDArray[np.bool_]:
    """Mark all but the best of a product's places in a row: two lists may name the same product."""
    order = np.lexsort((-worth, product), axis=1)
    sorted_ = np.take_along_axis(product, order, axis=1)
    again = np.zeros(product.shape, bool)
    again[:, 1:] = sorted_[:, 1:] == sorted_[:, :-1]
    mask = np.empty_like(again)
    np.put_along_axis(mask, order, again, axis=1)
    return mask


def explain(
    decision: Decision, case: Case, terms: Terms, row: int, *, products: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Say one row of a decision in words; ``products`` and ``names`` are its k candidates' ids and names.

    Returns ``product_id`` (None for nothing), the money and the chance under their full names, ``currency``,
    ``effect``, ``reason``, ``runners_up`` (product_id and money, best first; None is doing nothing) and
    ``ruled_out`` (product_id, rule, reason; a single entry without product_id where one rule refused all).
    """
    order = decision.order[row]
    worth = [(products[at], float(decision.worth[row, at])) for at in order[order >= 0].tolist()]
    paying = [offer for offer in worth if offer[1] > 0]
    options: list[tuple[str | None, float]] = [*paying, (None, 0.0), *worth[len(paying) :]]
    return {
        "product_id": options[0][0],
        terms.money: options[0][1],
        terms.probability: float(decision.chance[row]) if paying else None,
        "currency": terms.currency,
        "effect": terms.effect,
        "reason": _reason(decision, case, terms, row, names),
        "runners_up": [{"product_id": product, terms.money: money} for product, money in options[1:4]],
        "ruled_out": _ruled_out(decision, case, row, products),
    }


def _ruled_out(decision: Decision, case: Case, row: int, products: Sequence[str]) -> list[dict[str, Any]]:
    refused, real = decision.refused[row], np.flatnonzero(case.product[row] >= 0)
    if len(real) and refused[real[0]] >= 0 and (refused[real] == refused[real[0]]).all():
        return [{"product_id": None} | decision.why(int(refused[real[0]]))]
    out = real[refused[real] >= 0].tolist()
    return [{"product_id": products[at]} | decision.why(int(refused[at])) for at in out]


def _reason(decision: Decision, case: Case, terms: Terms, row: int, names: Sequence[str]) -> str:
    best = int(decision.order[row, 0]) if decision.order.shape[1] else NOTHING
    if best == NOTHING:
        return _why_nothing(decision, case, row)
    chance = f"chance {case.chance[row, best]:.0%} to be bought within {terms.horizon_days} days"
    lift = f"if offering it raises that by {terms.economics.offer_lift:.0%} (assumed)"
    money = f"{decision.worth[row, best]:+.2f} {terms.currency}".rstrip()
    earns = f"{money} of margin after {terms.economics.contact_cost:.2f} for the contact"
    offer = f"{names[best]}: {chance}; {lift}, {earns}"
    return offer if decision.choice[row] != NOTHING else f"nothing earns more than the best offer, {offer}"


def _why_nothing(decision: Decision, case: Case, row: int) -> str:
    first = decision.refused[row][case.product[row] >= 0]
    if not len(first):
        return "nothing to offer: no candidate products are known for this customer"
    if (first == first[0]).all():
        return f"nothing to offer: {decision.reasons[int(first[0])]}"
    counts = np.bincount(first, minlength=len(decision.rules))
    told = (f"{n} by {rule}" for rule, n in zip(decision.rules, counts.tolist(), strict=True) if n)
    return f"nothing to offer: all {len(first)} candidates are ruled out ({', '.join(told)})"


def merge_lists(lists: Mapping[str, tuple[Ints, NDArray[np.float32], Any]]) -> tuple[Ints, Money]:
    """Lay ready lists (products and scores, each of shape (n, k)) side by side as candidates and chances."""
    products = [np.asarray(product, np.int32) for product, *_ in lists.values()]
    chances = [np.asarray(score, np.float64) for _, score, *_ in lists.values()]
    return np.hstack(products), np.hstack(chances)


def save_desk(folder: Path, goods: Goods, terms: Terms) -> None:
    """Write what ``choose`` needs besides the case: arrays of the goods, and the terms as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(goods):
        np.save(folder / f"{field.name}.npy", getattr(goods, field.name))
    (folder / "terms.json").write_text(terms.model_dump_json(indent=1), encoding="utf-8")


def load_desk(folder: Path) -> tuple[Goods, Terms]:
    """Map what ``save_desk`` wrote; raise ``ArtefactError`` where it is broken."""
    try:
        columns = [np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in fields(Goods)]
        terms = Terms.model_validate(json.loads((folder / "terms.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"no readable goods and terms in {folder.name}/ ({error})", "score again"
        ) from error
    return Goods(*(np.asarray(column) for column in columns)), terms
