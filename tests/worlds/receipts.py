"""Histories made by hand or by a known renewal process, without a warehouse."""

import numpy as np

from features.arrays.history import History, Vocabulary

CUTOFF_DAY = 20_000


def history_of(rows: list[tuple[int, int, int, float]], n_products: int = 0) -> History:
    """Return a history of (customer, product, days before the cutoff, quantity); a day is an order."""
    rows = sorted(rows, key=lambda row: (row[0], -row[2], row[1]))
    customer, product, ago, quantity = (np.array(column) for column in zip(*rows, strict=True))
    n, n_products = int(customer.max()) + 1, max(n_products, int(product.max()) + 1)
    visits = np.unique(np.stack([customer, -ago]), axis=1, return_inverse=True)[1].ravel()
    return History(
        customers=Vocabulary.of([f"c{code:05d}" for code in range(n)]),
        products=Vocabulary.of([f"p{code:05d}" for code in range(n_products)]),
        indptr=np.searchsorted(customer, np.arange(n + 1)).astype(np.int64),
        product=product.astype(np.int32),
        order=visits.astype(np.int32),
        day=(CUTOFF_DAY - ago).astype(np.int32),
        quantity=quantity.astype(np.float32),
        revenue=np.full(len(rows), np.nan, np.float32),
        cutoff_day=CUTOFF_DAY,
    )


def renewing(
    n: int, *, again: float, gap: float, spread: float, power: float = 0.0, product: int = 0, seed: int = 0
) -> list[tuple[int, int, int, float]]:
    """Return purchases of ``n`` customers within a year: each returns with the chance ``again``, after a
    log-normal gap of median ``gap`` times ``quantity ** power`` days.
    """
    rng, rows = np.random.default_rng(seed), []
    for customer in range(n):
        ago = float(rng.uniform(1, 365))
        while ago >= 1:
            quantity = float(rng.integers(1, 4))
            rows.append((customer, product, int(ago), quantity))
            if rng.random() > again:
                break
            ago -= gap * quantity**power * np.exp(spread * rng.normal())
    return rows
