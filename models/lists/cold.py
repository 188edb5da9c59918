"""Lists for customers without orders: what sells to others of the same gender, region, interests, channel.

Popularity times a lift for each attribute. Lifts are shrunk to 1 for categories, and to their category's for
products, if a segment has bought little (gamma-Poisson: DuMouchel 1999); multiplying them is naive Bayes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from features.arrays.dtypes import Doubles, Floats, Ids, Ints, Sparse
from features.arrays.history import History, Vocabulary
from features.arrays.stored import read_array, write_arrays

if TYPE_CHECKING:
    from features.shop import Shop

Attribute = Literal["gender", "region", "interests", "acquisition_channel"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
WINDOW_DAYS = 180
"""Purchases of this many days before the cutoff count."""
STRENGTH = 10.0
"""Prior strength of lifts, in expected purchases."""
HEAD = 2_000
"""Number of best sellers that are reordered for a segment; the rest follow by sales."""
N_SEGMENTS = 60
"""Maximum number of segments kept: those with most purchases."""
SMALLEST = 5
"""Minimum customers per segment; smaller ones say more about single people than about the segment."""
SEPARATORS = ",;|"
"""Separators between several interests of one customer."""


@dataclass(frozen=True)
class AttributeSegments:
    """``lift``: how much more (above 1) or less a segment's customers buy a product; (segments, products)."""

    names: Vocabulary
    """``attribute=value``."""
    lift: Floats
    customers: Vocabulary
    """Customers known by their attributes alone, without a purchase."""
    values: Ids
    """Their segments, as ``attribute=value`` lines."""

    @classmethod
    def of(cls, shop: "Shop", cutoff: datetime) -> Self | None:
        """Learn lifts from purchases of the last ``WINDOW_DAYS``; None if the shop records no attributes."""
        if not shop.facts.has_customers:
            return None
        frame = shop.con.raw_sql(f"SELECT customer_id, {', '.join(ATTRIBUTES)} FROM customers").df()
        known = [_lines(row) for row in frame[[*ATTRIBUTES]].to_dict("records")]
        history = shop.history(cutoff)
        codes = history.customers.codes(frame["customer_id"].tolist())
        names, lift = _lifts(history, shop.catalogue(cutoff).top_category, codes=codes, known=known)
        if not len(names):
            return None
        waiting = [i for i, code in enumerate(codes.tolist()) if code < 0 and known[i]]
        vocabulary = Vocabulary.of([str(frame["customer_id"].iloc[i]) for i in waiting])
        place = vocabulary.codes([str(frame["customer_id"].iloc[i]) for i in waiting])
        values = np.array([""] * len(vocabulary), dtype=object)
        values[place] = ["\n".join(known[i]) for i in waiting]
        return cls(names, lift, vocabulary, np.array([text.encode() for text in values] or [], np.bytes_))

    def of_customer(self, customer_id: str) -> list[str]:
        """Return the segments of a customer without orders; empty for an unknown one."""
        code = self.customers.code(customer_id)
        return self.values[code].decode().split("\n") if code >= 0 else []

    def without(self, left: Callable[[list[str]], list[str]]) -> Self:
        """Return the same with only those customers whose ids ``left`` returns."""
        names = self.customers.all_names()
        kept = self.customers.codes(left(names))
        return replace(self, customers=Vocabulary(self.customers.ids[kept]), values=self.values[kept])

    def best(self, segments: list[str], popular: Ints, *, chance: Floats) -> tuple[Ints, Floats] | None:
        """Reorder the best sellers and their chances for these segments; None if none is known."""
        codes = self.names.codes(segments)
        codes = codes[codes >= 0]
        if not len(codes):
            return None
        head = popular[:HEAD]
        here = np.minimum(chance[:HEAD] * np.prod(self.lift[codes][:, head], axis=0), np.float32(1))
        order = np.argsort(-here, kind="stable")
        rest = np.minimum(chance[HEAD:], here.min(initial=1))
        return np.append(head[order], popular[HEAD:]), np.append(here[order], rest)

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array."""
        arrays = {"names": self.names.ids, "lift": self.lift, "customers": self.customers.ids}
        write_arrays(folder, arrays | {"values": self.values})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Memory-map what ``save`` wrote; None if nothing was written."""
        if not folder.is_dir():
            return None
        names, customers = (Vocabulary(read_array(folder, name)) for name in ("names", "customers"))
        return cls(names, read_array(folder, "lift"), customers, read_array(folder, "values"))


def segments_of(attributes: Mapping[Any, Any]) -> list[str]:
    """Return the segments that attributes put a customer into; each interest is one."""
    return _lines({name: attributes.get(name) for name in ATTRIBUTES})


def _lines(attributes: Mapping[Any, Any]) -> list[str]:
    lines = []
    for name, value in attributes.items():
        if isinstance(value, str) and value.strip():
            parts = [value]
            if name == "interests":
                for separator in SEPARATORS:
                    parts = [part for text in parts for part in text.split(separator)]
            lines += [f"{name}={part.strip().lower()}" for part in parts if part.strip()]
    return list(dict.fromkeys(lines))


def _lifts(
    history: History, category: Ints, *, codes: Ints, known: list[list[str]]
) -> tuple[Vocabulary, Floats]:
    """Return the segments that are large enough, and their lifts."""
    from scipy.sparse import csr_matrix

    pairs = [
        (name, code) for names, code in zip(known, codes.tolist(), strict=True) if code >= 0 for name in names
    ]
    names, row = np.unique(np.array([name for name, _ in pairs], dtype=str), return_inverse=True)
    shape = (len(names), len(history.customers))
    belongs = csr_matrix((np.ones(len(pairs)), (row.ravel(), [code for _, code in pairs])), shape=shape)
    bought = _buyers(history)
    seen = np.asarray((belongs @ bought).todense())
    large = np.diff(belongs.indptr) >= SMALLEST
    order = np.lexsort((-seen.sum(axis=1), ~large))
    kept = np.sort(order[: min(N_SEGMENTS, int(large.sum()))])
    share = np.asarray(bought.sum(axis=0)).ravel() / max(bought.sum(), 1)
    return Vocabulary.of(names[kept].tolist()), _drawn(seen[kept], share, category)


def _buyers(history: History) -> Sparse:
    """Return recent buyers as a matrix of ones, (customers, products)."""
    from scipy.sparse import csr_matrix

    recent = history.cutoff_day - history.day <= WINDOW_DAYS
    at = (history.customer[recent], history.product[recent])
    bought = csr_matrix((np.ones(len(at[0])), at), shape=(len(history.customers), len(history.products)))
    bought.data[:] = 1
    return bought


def _drawn(seen: Doubles, share: Doubles, category: Ints) -> Floats:
    """Return lifts relative to the shop's ``share``, shrunk: those of categories, then of products."""
    expected = seen.sum(axis=1, keepdims=True) * share
    kinds = np.zeros((len(share), int(category.max(initial=-1)) + 2))
    kinds[np.arange(len(share)), category + 1] = 1
    of_kind = (seen @ kinds + STRENGTH) / (expected @ kinds + STRENGTH)
    broad = of_kind[:, category + 1]
    drawn: Floats = ((seen + STRENGTH * broad) / (expected + STRENGTH)).astype(np.float32)
    return drawn
