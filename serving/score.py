"""One whole scoring: all customers, all champions, as of one moment, in a folder of its own.

The folder is built beside the others and the pointer moves last, so that whoever reads sees the old scoring or the new one,
never a mixture, whenever this is killed.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import Catalogue
from features.history import History, Vocabulary
from features.shop import Shop
from features.window import local_day, parse_cutoff, shift_days
from models.contact_policy import People, read_people
from models.model import Model
from serving import snapshot as scoring
from serving.columns import Columns
from serving.registry import Registry
from serving.rights import digest_of, erased_digests
from serving.snapshot import PERSONAL, Ready, Snapshot
from serving.state import Pointer
from serving.store import Store

K = 100
"""How deep the ready lists are; a deeper question is answered live."""
KEPT = 3
"""So many scorings stay on disk: readers of an older one finish, cursors stay valid."""


@dataclass(frozen=True)
class Base:
    """The customers of a scoring: everyone seen before the cutoff who did not ask to be forgotten."""

    shop: Shop
    cutoff: datetime
    customers: Vocabulary
    history: History

    @property
    def names(self) -> list[str]:
        """The customers' ids, in the order of their codes."""
        return self.customers.all_names()


def score(home: Path, as_of: datetime | None = None) -> str:
    """Score every customer with every champion, write ``lists/<stamp>/``, and put it in service.

    ``as_of`` defaults to the end of the last day with an order. Returns the stamp. Raises ``NotFound`` without a warehouse
    or a champion, and whatever a model raises: then nothing has changed.
    """
    home = home.resolve()
    shop = Shop(home)
    cutoff = as_of or end_of_orders(shop)
    models, versions = Registry(home).load()
    with _alone(home):
        stamp = next_stamp(home, cutoff)
        folder = home / "lists" / stamp
        building = folder.with_name(f".{stamp}")
        shutil.rmtree(building, ignore_errors=True)
        base = base_of(shop, cutoff, erased_of(home))
        whole = build(base, models, versions)
        scoring.write(building, whole, more=lambda place: _extras(place, base, models, whole))
        os.replace(building, folder)
        Pointer(stamp, cutoff.isoformat(), versions).move(home)
        _tidy(home, stamp)
    return stamp


def end_of_orders(shop: Shop) -> datetime:
    """Return the midnight, in the shop's zone, that ends the last day with an order."""
    today = parse_cutoff(local_day(shop.warehouse.last_at, shop.timezone).isoformat(), shop.timezone)
    return shift_days(today, 1, shop.timezone)


def erased_of(home: Path) -> "Forgotten":
    """Return who asked to be forgotten, as the store of a home knows it."""
    store = Store.open(home)
    try:
        return Forgotten(store.salt(), frozenset(erased_digests(store)))
    finally:
        store.close()


@dataclass(frozen=True)
class Forgotten:
    """Who asked to be forgotten, by digest."""

    salt: bytes
    digests: frozenset[bytes]

    def without(self, names: list[str]) -> list[str]:
        """Leave them out."""
        if not self.digests:
            return names
        return [name for name in names if digest_of(self.salt, name) not in self.digests]


def base_of(shop: Shop, cutoff: datetime, forgotten: Forgotten) -> Base:
    """Return the customers seen before ``cutoff`` and their history, coded alike."""
    history = shop.history(cutoff)
    seen = {*shop.customer_features(cutoff).index, *history.customers.all_names()}
    customers = Vocabulary.of(forgotten.without(sorted(seen)))
    return Base(shop, cutoff, customers, _recoded(history, customers))


def _recoded(history: History, customers: Vocabulary) -> History:
    """Return the history of ``customers``, coded by them; one without a product line owns no rows."""
    codes = history.customers.codes(customers.all_names())
    known = codes >= 0
    kept = history.of_customers(codes[known])
    sizes = np.zeros(len(customers), np.int64)
    sizes[known] = np.diff(kept.indptr)
    return replace(kept, customers=customers, indptr=np.concatenate([[0], np.cumsum(sizes)]))


def build(base: Base, models: Mapping[str, Model], versions: dict[str, str]) -> Snapshot:
    """Score everything in memory; what a missing champion would have given is left out."""
    shop, cutoff = base.shop, base.cutoff
    scores = customer_scores(base, models)
    people = people_of(base)
    ready, sources = ready_lists(base, models)
    popular, popular_score = popular_products(base, models)
    return Snapshot(
        stamp="",
        as_of=cutoff,
        models=versions,
        horizon_days=shop.settings.horizon_days,
        currency=shop.facts.currency or shop.settings.currency,
        economics=shop.settings.economics,
        cutoff_day=base.history.cutoff_day,
        timezone=shop.timezone,
        sources=sources,
        customers=base.customers,
        catalogue=shop.catalogue(cutoff),
        ready=ready,
        popular=popular,
        popular_score=popular_score,
        features=Columns.of(shop.customer_features(cutoff).reindex(base.names)),
        scores=Columns.of(scores),
        people=people,
        desk=desk_of(base, models),
        retention=retention_of(base, scores, people),
        history=base.history,
    )
