"""A small shop with trained customer models and a scoring to refresh from."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from worlds.orders import contacts, order_lines, products

from features import excerpt
from features.shop import Shop
from features.sketch import Sketch
from models.churn import Churn, ChurnConfig
from models.ltv import Ltv, LtvConfig
from models.segments import Segments, SegmentsConfig
from serving.scoring.columns import Columns
from serving.scoring.customer_scores import EXCERPT, scores_of
from serving.scoring.folder import write
from serving.scoring.snapshot import Snapshot
from serving.state import Pointer

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
CONFIGS = {
    Churn: ChurnConfig(horizon_days=28, curve_days=(), n_trees=10, min_leaf_rows=5, n_windows=2),
    Ltv: LtvConfig(horizon_days=28, n_trees=10, min_leaf_rows=5, n_windows=2),
    Segments: SegmentsConfig(),
}
STAMP = "20240601T0000-0001"


def source(timezone: str = "Europe/Lisbon") -> dict[str, Any]:
    """Return the tables of a shop before ``AS_OF``."""
    lines = order_lines(60, seed=3)
    lines = lines[lines["ordered_at"] < pd.Timestamp("2024-06-01")]
    return {"lines": lines, "products": products(), "contacts": contacts(lines), "timezone": timezone}


def train(home: Path, more: dict[Any, Any] | None = None) -> dict[str, Any]:
    """Fit the customer models (and ``more``) on a home's warehouse and put them on its disk."""
    shop = Shop(home)
    configs: dict[Any, Any] = CONFIGS | (more or {})
    made = {kind.name: kind.fit(shop, AS_OF, config=config) for kind, config in configs.items()}
    for name, model in made.items():
        model.save(home / "models" / name / "1")
    Sketch.of(shop.customer_features(AS_OF)).save(home / "models" / "churn" / "1")
    return made


def score(home: Path, models: dict[str, Any], snapshot: Snapshot) -> Snapshot:
    """Put a scoring of the customer models in service; the rest of it is ``snapshot``'s."""
    from dataclasses import replace

    from features.arrays.history import Vocabulary
    from models.policy.subjects import People

    shop = Shop(home)
    names = list(shop.customers_seen(AS_OF))
    made = replace(
        snapshot,
        stamp=STAMP,
        as_of=AS_OF,
        models=dict.fromkeys(models, "1"),
        customers=Vocabulary.of(names),
        features=Columns.of(shop.customer_features(AS_OF).reindex(names)),
        scores=Columns.of(scores_of(models, shop, cutoff=AS_OF, names=names)),
        people=People.nobody_known(len(names)),
        ready={},
        goods_and_terms=None,
        retention=None,
        history=None,
    )
    write(
        home / "lists" / STAMP,
        made,
        more=lambda folder: excerpt.write(shop, AS_OF, names=names, folder=folder / EXCERPT),
    )
    Pointer(STAMP, AS_OF.isoformat(), made.models).move(home)
    return made


def as_lines(events: list[dict[str, Any]]) -> pd.DataFrame:
    """Return events as the order lines that a shop would export."""
    rows = [
        {
            "customer_id": event["customer_id"],
            "ordered_at": pd.Timestamp(event["occurred_at"]),
            "product_id": event["product_id"],
            "quantity": event["quantity"] * (1 if event["kind"] == "order" else -1),
            "unit_price": event["unit_price"],
        }
        for event in events
    ]
    return pd.DataFrame(rows)
