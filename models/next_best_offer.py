"""What to do now for each customer: one product offered, or nothing, by expected incremental margin in money.

Chances come calibrated from ``cross_sell``; the effect of an offer is assumed until one has been learnt from
an experiment, and every answer says which. The choice itself is ``models.decisions.offer.choose``, over
arrays, for one customer or for all.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Bools, Ints
from features.arrays.history import History, Vocabulary
from features.arrays.last_bought import days_since_bought
from features.errors import CannotLearn, InputError
from features.shop import Shop
from models.config import Config
from models.decisions.arms import NO_ARM
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import Margins
from models.decisions.everyone import Options, options
from models.decisions.offer import ReadyLists, choose, merge_lists
from models.decisions.payoffs import bought_of, payoff, policies, summary_of
from models.decisions.reading import read_people, read_standing
from models.decisions.roles import ProductFacts, kind_cooling, roles
from models.kinds import DecisionModel
from models.model import card_of, require_products
from models.policy.actions import OFFER
from models.policy.subjects import Goods


class OfferConfig(Config):
    """How offers are valued."""

    just_bought_days: int = Field(default=7, ge=0)
    """Products bought within this many days are not offered."""
    discount_share: float = Field(default=0.0, ge=0, le=1)
    """Discount that comes with an offer, as a share of the price (0 to 1)."""


class NextBestOffer(DecisionModel[OfferConfig]):
    """Learns the shop's margins; the rest are settings, rules and the chances of ``cross_sell``."""

    name = "next_best_offer"
    question = "what to do now for a customer, or nothing"
    method = "expected incremental margin over actions, products and doing nothing, under named rules"
    must_beat = ("likelihood", "all", "none")
    headline = ("payoff assumed",)
    Config = OfferConfig

    def __init__(self, config: OfferConfig, trained_until: datetime, *, margins: Margins) -> None:
        super().__init__(config, trained_until)
        self.margins = margins

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: OfferConfig) -> Self:
        """Learn margins per category from known unit costs; raise ``CannotLearn`` without prices."""
        require_products(cls.name, shop)
        catalogue = shop.catalogue(known_until)
        if not np.isfinite(catalogue.price).any():
            raise CannotLearn(
                "next_best_offer needs prices, found no unit_price in order_lines, no list_price in products",
                "map one of them in recompra.toml",
            )
        return cls(config, known_until, margins=Margins.learn(catalogue, shop.settings.economics.margin_rate))

    def goods(self, catalogue: Catalogue, hidden: Bools | None = None) -> Goods:
        """Return price, margin, stock and hidden flags, aligned to the catalogue's product codes."""
        margin = self.margins.of_products(catalogue)
        price, stock = (np.asarray(column, np.float64) for column in (catalogue.price, catalogue.stock))
        return Goods(price, margin, stock, np.zeros(len(margin), bool) if hidden is None else hidden)

    def terms(self, shop: Shop) -> Terms:
        """Return the conditions of decisions in this shop: its actions and contact rules."""
        return Terms.of(shop.settings, **self.config.model_dump(exclude={"seed"}))

    def case(
        self,
        shop: Shop,
        cutoff: datetime,
        *,
        lists: ReadyLists,
        scores: pd.DataFrame | None = None,
        codes: Ints | None = None,
    ) -> Case:
        """Collect what could be offered to whom: a row per customer of ``shop.history(cutoff)``, in order.

        ``scores`` (index ``customer_id``; churn and margin) determine the worth of actions without a product;
        ``codes`` (ascending) are the customers that ``lists`` are for, if not all. Raises ``InputError`` if
        lists are those of other customers.
        """
        history = _of(shop.history(cutoff), codes)
        product, chance = merge_lists(lists)
        if len(product) != len(history.customers):
            message = f"the lists hold {len(product)} customers, the shop has {len(history.customers)}"
            raise InputError(f"{message} as of {cutoff:%Y-%m-%d}", "make the lists as of the same cutoff")
        facts, since = ProductFacts.read(shop, cutoff), days_since_bought(history, product)
        return Case(
            read_people(shop, cutoff, customers=history.customers),
            product,
            chance,
            since,
            standing=read_standing(shop, cutoff, customers=history.customers, scores=scores),
            role=roles(
                history,
                product,
                days_since_bought=since,
                goods=self.goods(shop.catalogue(cutoff)),
                facts=facts,
            ),
            kind_cooling=kind_cooling(history, product, facts=facts),
        )

    def decide(
        self, shop: Shop, cutoff: datetime, *, lists: ReadyLists, scores: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return one row per customer, index ``customer_id``.

        ``action`` (``nothing`` for none) and ``offer`` (its product_id, None without one), worth and chance
        under their full names, ``currency``, ``effect`` (assumed), ``runner_up`` and ``runner_up_offer`` (the
        next best action and its product) and ``ruled_out_by`` (the rule that refused every action, None
        where some were permitted). Without ``scores`` only actions with a product can be weighed.
        """
        case, terms = self.case(shop, cutoff, lists=lists, scores=scores), self.terms(shop)
        choices = options(case, self.goods(shop.catalogue(cutoff)), terms=terms)
        history = shop.history(cutoff)
        return decision_frame(choices, terms, customers=history.customers, products=history.products)

    def evaluate(
        self,
        shop: Shop,
        cutoff: datetime,
        *,
        known_until: datetime,
        lists: ReadyLists,
        codes: Ints | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Compare with likelihood, all and none on a closed horizon: summary by policy, payoff per customer.

        ``codes`` as in ``case``. Measures what is possible without an experiment: how often the offered
        product was bought, against the predicted chance, and the margin at stake. ``payoff`` replaces the
        chances by actual purchases but keeps the assumed effect, which only an experiment can measure.
        """
        terms = replace(self.terms(shop), actions=(OFFER,))
        history = _of(shop.history(cutoff), codes)
        case = replace(self.case(shop, cutoff, lists=lists, codes=codes), role=None, standing=None)
        goods = self.goods(shop.catalogue(cutoff))
        labels = shop.product_labels(cutoff, terms.horizon_days, known_until=known_until)
        bought = bought_of(labels, case.product, history=history)
        offers = policies(case, choose(case, goods, terms=terms))
        payoffs = {
            name: payoff(case, column, bought=bought, goods=goods, terms=terms)
            for name, column in offers.items()
        }
        index = pd.Index(history.customers.all_names(), name="customer_id")
        rows = {name: summary_of(case, column, bought=bought, goods=goods) for name, column in offers.items()}
        summary = pd.DataFrame(rows).T.rename_axis("policy")
        summary["payoff"] = [float(payoffs[name].sum()) for name in summary.index]
        return summary, pd.DataFrame(payoffs, index=index)

    def save(self, folder: Path) -> None:
        """Write ``model.json``: the config and the margins learnt."""
        self.write_card(folder, margins=self.margins.model_dump())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what ``save`` wrote."""
        with card_of(cls, folder) as card:
            return cls(card.config, card.trained_until, margins=Margins.model_validate(card.facts["margins"]))


def _of(history: History, codes: Ints | None) -> History:
    return history if codes is None else history.of_customers(codes)


def decision_frame(
    choices: Options, terms: Terms, *, customers: Vocabulary, products: Vocabulary
) -> pd.DataFrame:
    """Return everyone's best options, with ids in place of codes (see ``NextBestOffer.decide``)."""
    best = choices.best()
    product, worth, chance, _ = choices.at(best)
    others = np.where(np.arange(len(choices.table)) == best[:, None], -np.inf, choices.worth)
    second = np.where(np.isfinite(others).any(axis=1), others.argmax(axis=1), NOTHING).astype(np.int32)
    names = np.array(choices.names, dtype=object)
    columns = {
        "action": names[best],
        "offer": _names(products, product),
        terms.money: worth,
        terms.probability: chance,
        "currency": terms.currency,
        "effect": terms.effect,
        "runner_up": np.array([*choices.names[:-1], None], dtype=object)[second],
        "runner_up_offer": _names(products, choices.at(second)[0]),
        "ruled_out_by": _one_rule(choices),
    }
    return pd.DataFrame(columns, index=pd.Index(customers.all_names(), name="customer_id"))


def _names(products: Vocabulary, codes: Ints) -> NDArray[np.object_]:
    names = np.full(len(codes), None, dtype=object)
    known = codes >= 0
    names[known] = products.names(codes[known])
    return names


def _one_rule(choices: Options) -> NDArray[np.object_]:
    """Return the rule that refused all of a customer's actions, if it is a single one, else None."""
    real = choices.refused != NO_ARM
    low = np.where(real, choices.refused, np.int8(127)).min(axis=1, initial=127)
    high = np.where(real, choices.refused, np.int8(-1)).max(axis=1, initial=-1)
    at = np.where((low == high) & (low >= 0), low, len(choices.rules))
    return np.array([*choices.rules, None], dtype=object)[at]
