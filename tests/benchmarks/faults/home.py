"""A generated shop with every model in service, in versions whose answers can be told apart.

Version ``v`` of a scoring says so in all it is asked: in ``models``, in the fifth decimal of every score of a
ready or popular list, and in a column ``version`` beside each customer's scores.
"""

import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.ingest import ingest
from features.shop import Shop
from models.cross_sell import CrossSellConfig
from models.lists.picks import Picks
from models.registry import model_class
from serving.persons.rights import Forgotten
from serving.score import end_of_orders, next_stamp
from serving.scoring.build import Build
from serving.scoring.columns import Columns
from serving.scoring.folder import write
from serving.scoring.snapshot import Snapshot
from serving.state import Pointer

SMALL = CrossSellConfig(n_bags=1, n_trees=60, n_factors=8, n_neighbours=10, n_alike=10)
MODELS = ("popular", "cross_sell", "repurchase", "upsell", "churn", "ltv", "next_best_offer")
VERSIONS = (1, 2, 3)
N_DAYS = 168
KEPT = 3


def lines(n_customers: int, n_products: int, seed: int = 0) -> pd.DataFrame:
    """Generate baskets of favourites and strangers, until yesterday; in time each moves up to dearer ones."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp(datetime.now(UTC).date()) - pd.Timedelta(days=N_DAYS)
    rows = []
    for customer in range(n_customers):
        favourites = rng.choice(n_products, 5, replace=False)
        moves_up = rng.integers(60, N_DAYS)
        for day in range(customer % 7, N_DAYS - 28 * (customer % 5), 7 + customer % 9):
            usual = np.where(day < moves_up, favourites, (favourites + 20) % n_products)
            basket = np.unique([*rng.choice(usual, 2), rng.zipf(1.3) % n_products])
            moment = start + pd.Timedelta(days=day, hours=12)
            rows += [
                (f"c{customer:05d}", f"o{customer}-{day}", moment, f"p{code:04d}", 1.0, 2.0 + code % 50)
                for code in basket
            ]
    columns = ["customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price"]
    return pd.DataFrame(rows, columns=columns)


def products(n_products: int) -> pd.DataFrame:
    """Generate a catalogue of twenty categories."""
    codes = range(n_products)
    return pd.DataFrame(
        {
            "product_id": [f"p{code:04d}" for code in codes],
            "name": [f"Product {code}" for code in codes],
            "category": [f"shop > {code % 20}" for code in codes],
            "brand": [f"brand {code % 7}" for code in codes],
            "list_price": [2.0 + code % 50 for code in codes],
            "unit_cost": [1.0 + code % 30 for code in codes],
        }
    )


def make_shop(folder: Path, n_customers: int, n_products: int) -> Shop:
    """Write the shop, ingest it, and open it; its home is ``folder/home``."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "recompra.toml").write_text('currency = "EUR"\nhorizon_days = 28\n')
    lines(n_customers, n_products).to_parquet(source / "order_lines.parquet")
    products(n_products).to_parquet(source / "products.parquet")
    ingest(str(source), folder / "home")
    return Shop(folder / "home")


def fitted(shop: Shop, cutoff: datetime) -> dict[str, Any]:
    """Learn every model that serves, small."""
    horizon = {"horizon_days": shop.settings.horizon_days}
    found = {}
    for name in MODELS:
        model = model_class(name)
        options = {key: value for key, value in horizon.items() if key in model.Config.model_fields}
        config = SMALL if name == "cross_sell" else model.Config(**options)
        found[name] = model.fit(shop, cutoff, config=config)
    return found


def marked(made: Snapshot, version: int) -> Snapshot:
    """Return a scoring that bears its version everywhere; lists hold the same in another order."""
    rng = np.random.default_rng(version)
    ready = {name: _shuffled(part, rng, version) for name, part in made.ready.items()}
    order = rng.permutation(len(made.popular))
    return replace(
        made,
        models=dict.fromkeys(made.models, str(version)),
        ready=ready,
        popular=np.ascontiguousarray(made.popular[order]),
        popular_score=signed(len(order), version),
        scores=_with_version(made.scores, version),
    )


def signed(n: int, version: int) -> Any:
    """Return falling scores whose fifth decimal is the version."""
    return (0.9 - 0.0001 * np.arange(n) + version * 1e-5).astype(np.float32)


def version_of(score: float) -> int:
    """Read the version out of a score."""
    return round(score * 1e5) % 10


def _shuffled(part: Picks, rng: np.random.Generator, version: int) -> Picks:
    """Put each customer's products in another order; those of one product, and its source, stay together."""
    real = part.product >= 0
    order = np.where(real, rng.random(part.product.shape), 2.0).argsort(axis=1, kind="stable")
    moved = {
        name: np.take_along_axis(getattr(part, name), order, axis=1)
        for name in ("product", "source", "reason", "number", "about")
    }
    score = np.broadcast_to(signed(part.product.shape[1], version), part.product.shape)
    return Picks(score=np.ascontiguousarray(score), **moved)


def _with_version(scores: Columns, version: int) -> Columns:
    column = np.full((len(scores), 1), float(version))
    return replace(
        scores,
        order=(*scores.order, "version"),
        kinds={**scores.kinds, "version": "number"},
        numbers=np.hstack([scores.numbers, column]),
    )


@dataclass(frozen=True)
class Shelf:
    """A home, and beside it the scorings that are put in service in turn."""

    home: Path
    templates: dict[int, Path]
    cutoff: datetime

    def publish(self, number: int) -> int:
        """Put scoring ``number`` in service as ``recompra score`` does; return its version."""
        version = VERSIONS[number % len(VERSIONS)]
        lists, stamp = self.home / "lists", next_stamp(self.home, self.cutoff)
        shutil.rmtree(lists / f".{stamp}", ignore_errors=True)
        shutil.copytree(self.templates[version], lists / f".{stamp}")
        os.replace(lists / f".{stamp}", lists / stamp)
        models = dict.fromkeys(MODELS, str(version))
        Pointer(stamp, self.cutoff.isoformat(), models).move(self.home)
        for old in sorted(lists.glob("2*-[0-9]*"), key=_number)[:-KEPT]:
            shutil.rmtree(old)
        return version


def _number(folder: Path) -> int:
    return int(folder.name.rsplit("-", 1)[-1])


def make_shelf(folder: Path, n_customers: int, n_products: int) -> Shelf:
    """Generate the shop, learn, and write every version beside its home."""
    shop = make_shop(folder, n_customers, n_products)
    cutoff = end_of_orders(shop)
    models = fitted(shop, cutoff)
    build = Build(shop, cutoff, models, dict.fromkeys(models, "1"), Forgotten(b"", frozenset()))
    made, templates = build.snapshot(), {}
    for version in VERSIONS:
        templates[version] = folder / f"scoring-{version}"
        write(templates[version], marked(made, version), more=build.save_more)
    write(folder / "scored", replace(made, models=dict.fromkeys(models, "9")), more=build.save_more)
    for name, model in models.items():
        model.save(folder / "models" / name)
    (folder / "home" / "lists").mkdir(exist_ok=True)
    return Shelf(folder / "home", templates, cutoff)
