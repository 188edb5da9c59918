"""Products with similar words: variants of what was bought, and products too new to have been bought.

Cosine of TF-IDF over words and pairs of words in a product's name, category and brand. No language is
assumed.
"""

import numpy as np

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Floats, Ints, Longs, Sparse
from models.similarity.collaborative import Neighbours, nearest

COMMON = 0.05
"""Words in more than this share of the products (200 of a small catalogue) are ignored: they say little and
cost most."""
WORD = r"(?u)\b[^\W\d_]{2,}\b"


def texts(catalogue: Catalogue, sales: Floats, *, n: int) -> Neighbours:
    """Return each product's ``n`` most similar by words; empty if the catalogue has no words.

    Products with identical text have similarity 1: they are compared as one, and ordered by ``sales`` (by
    product).
    """
    docs, text, copies = np.unique(_texts(catalogue), return_inverse=True, return_counts=True)
    weights = _weights(docs.tolist(), copies)
    if weights is None:
        return Neighbours.none(len(text), n)
    return _told_apart(_with_itself(weights, n), text, sales=sales, n=n)


def _texts(catalogue: Catalogue) -> list[str]:
    def named(codes: object, names: list[str]) -> list[str]:
        return [names[code] if code >= 0 else "" for code in np.asarray(codes).tolist()]

    parts = (
        [name.decode(errors="replace") for name in catalogue.name.tolist()],
        named(catalogue.category, catalogue.categories.all_names()),
        named(catalogue.brand, catalogue.brands.all_names()),
    )
    return [" . ".join(words) for words in zip(*parts, strict=True)]


def _weights(docs: list[str], copies: Longs) -> Sparse | None:
    """Return TF-IDF of words in texts (unit columns), each text counted by its copies; None without words.

    As scikit-learn's ``TfidfVectorizer(sublinear_tf=True, min_df=2)`` over all copies.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    try:
        counts = CountVectorizer(token_pattern=WORD, ngram_range=(1, 2), dtype=np.float32).fit_transform(docs)
    except ValueError:  # no word is left
        return None
    size = int(copies.sum())
    products = np.bincount(counts.indices, np.repeat(copies, np.diff(counts.indptr)), counts.shape[1])
    kept = np.flatnonzero((products >= 2) & (products <= max(200, int(COMMON * size))))
    if not len(kept):
        return None
    counts = counts[:, kept]
    counts.data = (1 + np.log(counts.data)) * (1 + np.log((1 + size) / (1 + products[kept])))[counts.indices]
    return normalize(counts, copy=False).T.tocsr()


def _with_itself(weights: Sparse, n: int) -> Neighbours:
    """Return each text's ``n`` nearest, itself first; empty for a text without words."""
    near = nearest(weights, n)
    spoken = np.bincount(weights.indices, minlength=weights.shape[1]) > 0
    itself = np.where(spoken, np.arange(len(spoken)), -1).astype(np.int32)
    return Neighbours(
        np.column_stack([itself, near.product]), np.column_stack([spoken.astype(np.float32), near.score])
    )


def _told_apart(near: Neighbours, text: Longs, *, sales: Floats, n: int) -> Neighbours:
    """Return the products behind each text's neighbours, without the product itself: shape (products, n)."""
    by_text = np.lexsort((-sales, text))
    first = np.searchsorted(text[by_text], np.arange(len(near.product) + 1))
    like, wide = near.product.ravel(), near.product.shape[1]
    copies = np.minimum(np.diff(first), n + 1)[like] * (like >= 0)
    start = copies.cumsum() - copies
    one = np.repeat(np.arange(len(like)), copies)  # of each product, the cell of ``near`` it belongs to
    row, place = one // wide, np.arange(len(one)) - start[one // wide * wide]
    kept = place <= n
    one, row, place = one[kept], row[kept], place[kept]
    product = np.full((len(near.product), n + 1), -1, np.int32)
    product[row, place] = by_text[first[like[one]] + np.flatnonzero(kept) - start[one]]
    score = np.zeros(product.shape, np.float32)
    score[row, place] = near.score.ravel()[one]
    return _without_itself(product[text], score[text])


def _without_itself(product: Ints, score: Floats) -> Neighbours:
    """Drop each row's own product, or the last one if it is not among them."""
    itself = product == np.arange(len(product))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(product), product.shape[1] - 1)
    return Neighbours(product[~itself].reshape(shape), score[~itself].reshape(shape))
