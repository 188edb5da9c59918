"""What is known of each product, as arrays aligned to a history's product codes."""

from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.dtypes import Bools, Floats, Ids, Ints
from features.arrays.history import Vocabulary
from features.arrays.stored import read_array, write_arrays
from features.window import naive_utc

if TYPE_CHECKING:
    import pandas as pd

NAME_BYTES = 120
"""A longer name is cut: names of all products lie in one array of equal places."""


@dataclass(frozen=True)
class Catalogue:
    """One row per product code; where unknown, codes of categories and brands are -1 and numbers NaN."""

    products: Vocabulary
    categories: Vocabulary
    """Full paths, ``a > b > c``."""
    top_categories: Vocabulary
    brands: Vocabulary
    category: Ints
    top_category: Ints
    brand: Ints
    price: Floats
    """List price, else the median paid per unit before the cutoff, in the shop's currency."""
    unit_cost: Floats
    stock: Floats
    name: Ids
    launched_day: Floats
    """Days since 1970-01-01; NaN unknown."""

    def names(self, codes: Any) -> list[str]:
        """Return the readable names behind codes; the id where a product has none."""
        picked = zip(
            self.name[codes].tolist(),
            self.products.ids[np.asarray(codes, dtype=np.int64)].tolist(),
            strict=True,
        )
        return [(name or fallback).decode(errors="replace") for name, fallback in picked]

    def within(self, path: str) -> Bools:
        """Mark the products of a category and of those below it."""
        names = self.categories.all_names()
        inside = [name == path or name.startswith(f"{path} > ") for name in names]
        marked: Bools = np.array([*inside, False])[self.category]  # -1 reads the last: False
        return marked

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` a column."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        write_arrays(folder, {name: v.ids if isinstance(v, Vocabulary) else v for name, v in values.items()})

    @classmethod
    def load(cls, folder: Path) -> "Catalogue":
        """Memory-map what ``save`` wrote."""
        arrays = {field.name: read_array(folder, field.name) for field in fields(cls)}
        coded = [field.name for field in fields(cls) if field.type is Vocabulary]
        return cls(**arrays | {name: Vocabulary(arrays[name]) for name in coded})


def read_catalogue(con: Any, cutoff: datetime, *, products: Vocabulary) -> Catalogue:
    """Read the products table and the prices paid before ``cutoff``, aligned to ``products``."""
    frame: pd.DataFrame = con.raw_sql(_PRODUCTS.format(moment=naive_utc(cutoff))).df()
    frame = frame.set_index("product_id").reindex(products.all_names())
    path = frame["category"].astype("object").where(frame["category"].notna(), None)
    top = path.map(lambda text: text.split(" > ")[0] if isinstance(text, str) else None)
    categories, category = _coded(path)
    top_categories, top_category = _coded(top)
    brands, brand = _coded(frame["brand"])
    price = frame["list_price"].fillna(frame["paid"])
    return Catalogue(
        products=products,
        categories=categories,
        top_categories=top_categories,
        brands=brands,
        category=category,
        top_category=top_category,
        brand=brand,
        price=price.to_numpy(np.float32),
        unit_cost=frame["unit_cost"].to_numpy(np.float32),
        stock=frame["stock"].to_numpy(np.float32),
        name=np.array([_bytes(name) for name in frame["name"]] or [], dtype=np.bytes_),
        launched_day=frame["launched_day"].to_numpy(np.float32),
    )


def _coded(column: Any) -> tuple[Vocabulary, Ints]:
    texts = ["" if not isinstance(text, str) else text for text in column]
    vocabulary = Vocabulary.of([text for text in texts if text])
    return vocabulary, vocabulary.codes(texts)


def _bytes(name: Any) -> bytes:
    """Return the first ``NAME_BYTES`` of a name, without a last character that is cut in two."""
    whole = name.encode() if isinstance(name, str) else b""
    return whole if len(whole) <= NAME_BYTES else whole[:NAME_BYTES].decode(errors="ignore").encode()


_PRODUCTS = """
WITH paid AS (
  SELECT product_id, median(revenue / quantity) AS paid FROM order_lines
  WHERE ordered_at < TIMESTAMP '{moment}' AND product_id IS NOT NULL GROUP BY product_id)
SELECT coalesce(products.product_id, paid.product_id) AS product_id, name, category, brand,
       list_price::DOUBLE AS list_price, unit_cost::DOUBLE AS unit_cost, stock::DOUBLE AS stock, paid,
       (launched_on - DATE '1970-01-01')::DOUBLE AS launched_day
FROM products FULL JOIN paid ON products.product_id = paid.product_id
"""
