"""The content of a scoring, from the shop and the champions; what no champion provides is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import pandas as pd

from features import excerpt
from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.history import History, Vocabulary
from features.shop import Shop
from features.window import local_day
from models.decisions.case import Terms
from models.decisions.economics import EFFECT, Money
from models.decisions.known import Known, learnt_effects
from models.decisions.reading import read_people, read_standing
from models.decisions.retention import rank_customers
from models.decisions.roles import ProductFacts
from models.lists.cold import AttributeSegments
from models.lists.list_kinds import PERSONAL
from models.lists.picks import SOURCES, Picks, asked_for
from models.model import Model
from models.policy.action_table import ActionTable
from models.policy.actions import KEEP
from models.policy.standing import draw_held_out
from models.policy.subjects import Goods, People
from serving.persons.marks import ErasedCustomers, Marks
from serving.persons.rights import Forgotten
from serving.scoring.columns import Columns
from serving.scoring.customer_scores import EXCERPT, scores_of
from serving.scoring.registered import Registered
from serving.scoring.snapshot import Snapshot

if TYPE_CHECKING:
    from models.candidates.state import ListState
    from models.cross_sell import CrossSell
    from models.next_best_offer import NextBestOffer
    from models.popular import Popular, PopularState
    from models.repurchase import Repurchase
    from models.uplift import Uplift
    from models.upsell import Upsell

N_READY = 100
"""Length of the ready lists; longer requests are answered live."""


class Champions(TypedDict, total=False):
    """The models a scoring uses for more than scores, by name."""

    popular: "Popular"
    cross_sell: "CrossSell"
    repurchase: "Repurchase"
    upsell: "Upsell"
    uplift: "Uplift"
    next_best_offer: "NextBestOffer"


@dataclass(frozen=True)
class Build:
    """One scoring in progress. Its customers are all seen before the cutoff who are not erased."""

    shop: Shop
    cutoff: datetime
    models: Mapping[str, Model]
    versions: dict[str, str]
    forgotten: Forgotten

    @cached_property
    def customers(self) -> Vocabulary:
        """Everyone with an order, whether or not its products are known, or were returned."""
        return Vocabulary(self._seen[0].ids[self._seen[2]])

    @cached_property
    def _seen(self) -> tuple[Vocabulary, Marks, Bools]:
        """Everyone, their marks, and who is not erased: ids are hashed only once."""
        everyone = Vocabulary.of(self.shop.customers_seen(self.cutoff).tolist())
        marks = Marks.of(self.forgotten.salt, everyone.all_names())
        gone = ErasedCustomers(everyone, marks).mask(self.forgotten.salt, self.forgotten.digests)
        return everyone, marks, ~gone

    @property
    def marks(self) -> Marks:
        """Their marks, by which customers erased later are found."""
        return replace(self._seen[1], mark=self._seen[1].mark[self._seen[2]])

    @cached_property
    def names(self) -> list[str]:
        """Their ids, in the order of their codes."""
        return self.customers.all_names()

    @cached_property
    def history(self) -> History:
        """Their history, coded by ``customers``; customers without a product line have no rows."""
        return asked_for(self.shop.history(self.cutoff), self.names)

    def snapshot(self) -> Snapshot:
        """Score everything."""
        settings = self.shop.settings
        popular, popular_score = self.popular()
        day = local_day(self.cutoff, self.shop.timezone)
        return Snapshot(
            stamp="",
            as_of=self.cutoff,
            models=self.versions,
            horizon_days=settings.horizon_days,
            currency=settings.currency,
            economics=settings.economics,
            cutoff_day=self.history.cutoff_day,
            timezone=self.shop.timezone,
            locale=settings.lists.locale,
            sources=self.sources,
            customers=self.customers,
            catalogue=self.shop.catalogue(self.cutoff),
            ready=self.ready(),
            popular=popular,
            popular_score=popular_score,
            features=Columns.of(self.shop.customer_features(self.cutoff).reindex(self.names)),
            scores=Columns.of(self.scores),
            people=self.people,
            goods_and_terms=self.goods_and_terms(),
            retention=self.retention(),
            history=self.history,
            known=self.known(),
            segments=self.segments(),
            registered=self.registered(),
            marks=self.marks,
            notes=tuple(note for model in self.models.values() for note in model.notes(day)),
            average_of_keeping=self.average_of_keeping(),
        )

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Every score of every customer; index ``customer_id``."""
        return scores_of(self.models, self.shop, cutoff=self.cutoff, names=self.names)

    @cached_property
    def people(self) -> People:
        """Consent and contacts."""
        return read_people(self.shop, self.cutoff, customers=self.customers)

    @property
    def _champions(self) -> Champions:
        return cast("Champions", self.models)

    @cached_property
    def _cross_sell(self) -> "tuple[CrossSell, ListState] | None":
        """The model of the lists, and its state."""
        model = self._champions.get("cross_sell")
        return None if model is None else (model, model.state(self.shop, self.cutoff))

    @cached_property
    def _popular(self) -> "tuple[Popular, PopularState] | None":
        """The model of best sellers and own habits, and its state."""
        model = self._champions.get("popular")
        return None if model is None else (model, model.state(self.shop, self.cutoff))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names behind the ready lists' source codes."""
        return tuple(SOURCES) if self._cross_sell or self._popular else ()

    def ready(self) -> dict[str, Picks]:
        """Return the ready lists, one row per customer; -1 throughout without a product line."""
        lists = self._lists()
        codes = self.shop.history(self.cutoff).customers.codes(self.names)
        return {name: _rows(lists[name], codes) for name in PERSONAL if name in lists}

    def _lists(self) -> dict[str, Picks]:
        """Return the lists of cross_sell; where it is no champion those of its fallback, as in a backtest."""
        if self._cross_sell is not None:
            model, state = self._cross_sell
            return model.ready(state, k=N_READY)
        if self._popular is not None:
            habits, known = self._popular
            return habits.ready(known, k=N_READY)
        return {}

    def popular(self) -> tuple[Ints, Floats]:
        """Return what sells best now."""
        if self._popular is None:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        model, state = self._popular
        product, score = model.best(state)
        return np.asarray(product, np.int32), np.asarray(score, np.float32)

    def segments(self) -> AttributeSegments | None:
        """Return best sellers by segment, without erased customers."""
        segments = AttributeSegments.of(self.shop, self.cutoff) if self.shop.facts.has_products else None
        return None if segments is None else segments.without(self.forgotten.without)

    @cached_property
    def terms(self) -> Terms | None:
        """The conditions of decisions, with the actions that can be weighed; None if there are none.

        Those with a product need prices and calibrated chances, the others only churn and margin.
        """
        model = self._champions.get("next_best_offer")
        if model is not None and self._cross_sell is not None:
            return model.terms(self.shop)
        terms, worth = Terms.of(self.shop.settings), self._worth
        contacts = tuple(action for action in terms.actions if not action.offers_product)
        known = worth is not None and worth.notna().all(axis=1).any()
        return replace(terms, actions=contacts) if contacts and known else None

    @property
    def _worth(self) -> pd.DataFrame | None:
        """Everybody's churn and margin over the shop's horizon, if both are scored."""
        days = self.shop.settings.horizon_days
        names = [f"churn_probability_{days}d", f"expected_margin_{days}d"]
        return self.scores[names] if {*names} <= {*self.scores.columns} else None

    def goods_and_terms(self) -> tuple[Goods, Terms] | None:
        """Return what decisions need besides the lists and what is known of customers."""
        if self.terms is None:
            return None
        catalogue, model = self.shop.catalogue(self.cutoff), self._champions.get("next_best_offer")
        if model is None or self._cross_sell is None:
            return Goods.unpriced(np.asarray(catalogue.stock, np.float64)), self.terms
        return model.goods(catalogue, self._cross_sell[1].rules.hidden), self.terms

    def known(self) -> Known | None:
        """Return where customers stand and what products are, if there is anything to decide."""
        if self.terms is None:
            return None
        standing = read_standing(self.shop, self.cutoff, customers=self.customers, scores=self.scores)
        none = np.zeros((len(self.history.products), 0), np.int32)  # nothing is offered without a ranker
        accessories = none if self._cross_sell is None else self._cross_sell[1].together.product
        facts = ProductFacts.read(self.shop, self.cutoff, accessories=accessories)
        return Known(standing, facts, self.learnt(self.terms.table))

    def registered(self) -> Registered | None:
        """Return who may order after the scoring, if there is anything to decide then."""
        if self.terms is None:
            return None
        return Registered.of(self.shop, self.cutoff, seen=self._seen[0], forgotten=self.forgotten)

    def learnt(self, table: ActionTable) -> dict[str, Money]:
        """Return the effects learnt from experiments for a table's actions, by customer."""
        uplift = self._champions.get("uplift")
        if uplift is None:
            return {}
        features = self.shop.customer_features(self.cutoff).reindex(self.names)
        return learnt_effects(uplift, features, table=table)

    def retention(self) -> Columns | None:
        """Return all customers ordered by what a contact earns, if churn and margin are known."""
        settings = self.shop.settings
        if self._worth is None:
            return None
        frame = rank_customers(
            self.scores.assign(**self.effect_of_keeping()),
            self.people,
            economics=settings.economics,
            horizon_days=settings.horizon_days,
        )
        codes, policy = self.customers.codes(frame.index.tolist()), settings.contact_policy
        held = draw_held_out(self.customers.ids, policy.held_out_share, salt=policy.held_out_salt)[codes]
        ruled_out = frame.pop("ruled_out_by").astype("object").replace("", None).mask(held, "held_out")
        return Columns.of(frame.assign(ruled_out_by=ruled_out, customer=codes.astype(float)))

    def average_of_keeping(self) -> tuple[float, float, float] | None:
        """Return the learnt average effect of a retention contact, with its interval, if there is one."""
        uplift = self._champions.get("uplift")
        return uplift.average(KEEP.name) if uplift is not None and uplift.knows(KEEP.name) else None

    def effect_of_keeping(self) -> dict[str, Money]:
        """Return the column of the learnt effect of a retention contact, if there is one."""
        settings = self.shop.settings
        learnt = self.learnt(ActionTable.of([KEEP], settings.economics, policy=settings.contact_policy))
        return {EFFECT: learnt[KEEP.name]} if KEEP.name in learnt else {}

    def save_more(self, folder: Path) -> None:
        """Add the live state, the rows for refreshing customers, and the scores as a file for others."""
        excerpt.write(self.shop, self.cutoff, names=self.names, folder=folder / EXCERPT)
        self.scores.reset_index().to_parquet(folder / "scores.parquet", index=False)
        repurchase = self._champions.get("repurchase")
        if repurchase is not None:
            clock = repurchase.state(self.shop, self.cutoff)
            demand = repurchase.demand(self.shop, self.cutoff, clock=clock)
            demand.to_parquet(folder / "demand.parquet", index=False)
        if self._cross_sell is not None:
            model, state = self._cross_sell
            model.save_state(state, folder / "state")
            upsell = self._champions.get("upsell")
            if upsell is not None:
                upsell.state(self.shop, self.cutoff).save(folder / "state")


def _rows(picks: Picks, codes: Ints) -> Picks:
    """Return the rows of a list for ``codes``: no products where the code is -1."""
    if np.array_equal(codes, np.arange(len(picks.product))):  # gigabytes in a large shop: no copy
        return picks
    rows = Picks(*(getattr(picks, name)[codes] for name in Picks._fields))
    rows.product[codes < 0] = -1
    return rows
