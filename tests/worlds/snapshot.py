"""A home with one whole scoring, made up: what serving answers from, without training anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays.catalogue import Catalogue
from features.arrays.history import History, Vocabulary
from features.settings import ContactPolicy, Economics
from features.window import day_number
from models.decisions.case import Terms
from models.decisions.known import Known
from models.decisions.reading import with_scores
from models.decisions.roles import ProductFacts
from models.lists.list_kinds import PERSONAL
from models.lists.picks import Picks
from models.policy.actions import EVENTS, catalogue
from models.policy.standing import Standing
from models.policy.subjects import Goods, People
from models.ranking.reason_texts import CODES
from models.ranking.reasons import Reasons
from serving.scoring.columns import Columns
from serving.scoring.folder import write
from serving.scoring.snapshot import Snapshot
from serving.state import Pointer

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NOW = AS_OF + timedelta(hours=10)
HORIZON = 28
PRIMES = (999_983, 1_000_003, 1_299_709, 15_485_863, 32_452_843)
GAIN = f"expected_incremental_margin_{HORIZON}d"
SCORES = (f"churn_probability_{HORIZON}d", f"expected_margin_{HORIZON}d")


@dataclass(frozen=True)
class FakeLive:
    """A ranker anybody can check: what was just bought first, then the products in ``order``."""

    order: tuple[str, ...]
    known: frozenset[str]

    def rank(
        self,
        customer_id: str | None,
        new_lines: Sequence[tuple[str, float]],
        cart: Sequence[str],
        list_name: str,
        k: int,
        *,
        exclude: Sequence[str] = (),
        eligible: Any = None,
    ) -> list[tuple[str, float, str]]:
        """Rank as said, never what is excluded, in the cart, or just bought and asked for as new."""
        assert customer_id is None or customer_id in self.known
        bought = {name for name, quantity in new_lines if quantity > 0}
        out = {*exclude, *cart} | (bought if list_name == "new_for_you" else set())
        shown = [name for j, name in enumerate(self.order) if name not in out and eligible[j]]
        shown.sort(key=lambda name: name not in bought)
        return [(name, 0.5, f"live:{list_name}") for name in shown[:k]]

    def reasons(self, customer_id: Any, new_lines: Any, cart: Any, picks: Sequence[Any]) -> Reasons:
        """Say of everything that it is like the first product."""
        found = Reasons.none(len(picks))
        found.put(np.ones(len(picks), bool), "like", about=np.zeros(len(picks), np.int32))
        return found

    def due(self, customer_id: str, without: Sequence[str] = ()) -> dict[str, str]:
        """Know of nothing that is due."""
        return {}


def names(letter: str, n: int) -> list[str]:
    """Return ids whose byte order is their number's."""
    return [f"{letter}{number:06d}" for number in range(n)]


def make_snapshot(
    n_customers: int = 20, n_products: int = 60, k: int = 30, *, seed: int = 0, version: str = "1"
) -> Snapshot:
    """Make a scoring of ``c000000``... and ``p000000``...; every list is a random choice of products."""
    rng = np.random.default_rng(seed)
    customers = Vocabulary.of(names("c", n_customers))
    catalogue = _catalogue(n_products)
    columns = _scores(n_customers, rng)
    return Snapshot(
        stamp="20260301T0000-0001",
        as_of=AS_OF,
        models={"cross_sell": version, "churn": version},
        horizon_days=HORIZON,
        currency="EUR",
        economics=Economics(max_contacts_28d=2),
        cutoff_day=day_number(AS_OF.date()),
        timezone="UTC",
        locale="en",
        sources=("own", "similar"),
        customers=customers,
        catalogue=catalogue,
        ready={name: _ready(n_customers, n_products, k, rng) for name in PERSONAL},
        popular=rng.permutation(n_products).astype(np.int32),
        popular_score=np.linspace(0.2, 0.01, n_products, dtype=np.float32),
        features=Columns.of(pd.DataFrame({"n_orders": rng.integers(1, 9, n_customers).astype(float)})),
        scores=Columns.of(columns),
        people=People(np.ones(n_customers, np.int8), np.zeros(n_customers, np.int32)),
        goods_and_terms=_desk(n_products),
        retention=_retention(columns),
        history=_history(customers, catalogue.products),
    )


def with_live(snapshot: Snapshot) -> Snapshot:
    """Give a scoring the ranker anybody can check."""
    ids = tuple(snapshot.catalogue.products.all_names())
    return replace(snapshot, live=FakeLive(ids, frozenset(snapshot.customers.all_names())))


def with_known(snapshot: Snapshot, **policy: Any) -> Snapshot:
    """Give a scoring the whole catalogue of actions, and customers of whom everything is known.

    All ordered once, three days ago, and may be contacted in every way; ``policy``: changes to the shop's
    contact policy.
    """
    n, n_products = len(snapshot.customers), len(snapshot.catalogue.products)
    nowhere = Standing.unknown(n)
    standing = replace(
        nowhere,
        consent=np.ones_like(nowhere.consent),
        since=np.where(np.array(EVENTS) == "birthday", np.nan, np.full((n, 1), 3)).astype(np.float32),
        settles_in=np.full(n, -3, np.float32),
        basket=np.full(n, 20.0),
        n_orders=np.ones(n, np.int32),
    )
    scores = pd.DataFrame({name: snapshot.scores.number(name) for name in SCORES})
    goods, terms = snapshot.goods_and_terms or _desk(n_products)
    none = np.zeros(n_products, np.float32)
    nothing = np.full((n_products, 1), -1, np.int32)
    shelf = ProductFacts(
        snapshot.catalogue.category,
        none,
        none,
        none + 30,
        none > 0,
        partner=nothing[:, 0],
        accessories=nothing,
    )
    return replace(
        snapshot,
        known=Known(with_scores(standing, scores, horizon_days=HORIZON), shelf),
        goods_and_terms=(goods, replace(terms, actions=catalogue(), policy=ContactPolicy(**policy))),
    )


def make_home(home: Path, snapshot: Snapshot | None = None) -> Snapshot:
    """Write a scoring into ``home`` and point at it."""
    snapshot = snapshot or make_snapshot()
    home.mkdir(parents=True, exist_ok=True)
    write(home / "lists" / snapshot.stamp, snapshot)
    Pointer(snapshot.stamp, snapshot.as_of.isoformat(), snapshot.models).move(home)
    return snapshot


def _catalogue(n: int) -> Catalogue:
    categories = Vocabulary.of([f"food > kind{number}" for number in range(4)])
    return Catalogue(
        products=Vocabulary.of(names("p", n)),
        categories=categories,
        top_categories=Vocabulary.of(["food"]),
        brands=Vocabulary.of(["acme"]),
        category=(np.arange(n) % 4).astype(np.int32),
        top_category=np.zeros(n, np.int32),
        brand=np.zeros(n, np.int32),
        price=np.linspace(1, 20, n, dtype=np.float32),
        unit_cost=np.full(n, np.nan, np.float32),
        stock=np.full(n, np.nan, np.float32),
        name=np.array([f"Product {number}".encode() for number in range(n)], np.bytes_),
        launched_day=np.full(n, np.nan, np.float32),
    )


def _ready(n: int, n_products: int, k: int, rng: np.random.Generator) -> Picks:
    product = _some(n, n_products, k, rng)
    score = np.sort(rng.random((n, product.shape[1]), np.float32))[:, ::-1]
    code = (product % 2).astype(np.uint8)
    reason = np.full(product.shape, CODES.index("often"), np.uint8)
    return Picks(product, np.ascontiguousarray(score), code, reason, score + 2, product)


def _some(n: int, n_products: int, k: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Choose products for each customer, none twice: in strides of a prime beyond the number of products."""
    stride, start = rng.choice(PRIMES, (n, 1)), rng.integers(0, max(n_products, 1), (n, 1))
    places = np.arange(min(k, n_products), dtype=np.int64)
    return ((start + stride * places) % max(n_products, 1)).astype(np.int32)


def _scores(n: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            f"churn_probability_{HORIZON}d": rng.random(n),
            f"expected_margin_{HORIZON}d": rng.gamma(2, 20, n),
            "next_order_at": pd.Series([AS_OF + timedelta(days=day % 20) for day in range(n)]),
            "segment": [("loyal", "new", None)[number % 3] for number in range(n)],
        }
    )


def _retention(scores: pd.DataFrame) -> Columns:
    gain = scores.iloc[:, 0] * 0.05 * scores.iloc[:, 1] - 0.1
    order = np.argsort(-gain.to_numpy(), kind="stable")
    frame = pd.DataFrame(
        {
            "customer": order.astype(float),
            "contact_cost": 0.1,
            GAIN: gain.to_numpy()[order],
            "ruled_out_by": None,
        }
    )
    return Columns.of(frame)


def _desk(n: int) -> tuple[Goods, Terms]:
    price = np.linspace(1, 20, n)
    goods = Goods(price, price * 0.3, np.full(n, np.nan), np.zeros(n, bool))
    return goods, Terms(horizon_days=HORIZON, currency="EUR", economics=Economics(max_contacts_28d=2))


def _history(customers: Vocabulary, products: Vocabulary) -> History:
    """Customer ``i`` bought product ``i`` once, three days before the moment of the scoring."""
    n = len(customers) if len(products) else 0
    indptr = np.minimum(np.arange(len(customers) + 1), n)
    day = np.full(n, day_number(AS_OF.date()) - 3, np.int32)
    ones, code = np.ones(n, np.float32), np.arange(n, dtype=np.int32)
    product = (code % max(len(products), 1)).astype(np.int32)
    return History(customers, products, indptr, product, code, day, ones, ones, day_number(AS_OF.date()))
