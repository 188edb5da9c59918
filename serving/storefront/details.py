"""Details of a product in a list: name, category, price, and why it is shown, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.lists.picks import Picks
from models.ranking.reason_texts import CODES, reason_and_text
from models.ranking.reasons import Reasons
from serving.api import Product, ProductDetails, Reason
from serving.scoring.snapshot import Snapshot

Dates = Mapping[str, str]
"""The day a customer is due, by product."""


def detailed(
    snapshot: Snapshot, products: Sequence[Product], *, why: Reasons, locale: str | None, due: Dates
) -> list[ProductDetails]:
    """Return products with their catalogue data, the day they are due, and why they are shown."""
    language = locale or snapshot.locale
    return [
        _one(snapshot, product, why=why.at([row]), locale=language, due=due)
        for row, product in enumerate(products)
    ]


def _one(snapshot: Snapshot, product: Product, *, why: Reasons, locale: str, due: Dates) -> ProductDetails:
    catalogue, code = snapshot.catalogue, snapshot.product(product["product_id"])
    price, kind = float(catalogue.price[code]), int(catalogue.category[code])
    category = catalogue.categories.names([kind])[0] if kind >= 0 else None
    name = catalogue.names([code])[0]
    return {
        **product,
        "name": name,
        "category": category,
        "price": round(price, 4) if np.isfinite(price) else None,
        "due_at": due.get(product["product_id"]),
        "reason": _reason(snapshot, why, locale=locale, name=name, category=category),
    }


def _reason(snapshot: Snapshot, why: Reasons, *, locale: str, name: str, category: str | None) -> Reason:
    number, other = float(why.number[0]), int(why.about[0])
    about = snapshot.catalogue.names([other])[0] if other >= 0 else ""
    code, text = reason_and_text(
        CODES[int(why.reason[0])], locale, number=number, name=name, about=about, category=category
    )
    return {"code": code, "text": text}


def ready_reasons(
    snapshot: Snapshot, ready: Picks, *, customer: int, picks: Sequence[tuple[str, float, str]]
) -> Reasons:
    """Look up the reasons stored with a ready list; best sellers that continue it have none of their own."""
    codes, found = np.array([snapshot.product(name) for name, _, _ in picks], int), Reasons.none(len(picks))
    rows, at = np.nonzero(codes[:, None] == ready.product[customer])
    for name in ("reason", "number", "about"):
        getattr(found, name)[rows] = getattr(ready, name)[customer, at]
    return found
