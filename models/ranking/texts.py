"""Products whose words are alike: variants of what was bought, and products too new to have been bought.

TF-IDF over words and pairs of words of a product's name, category and brand; cosine. No language is assumed.
"""

import numpy as np

from features.catalogue import Catalogue
from models.ranking.collaborative import Neighbours, nearest

COMMON = 0.05
"""Words of more than this share of the products (200 of a small catalogue) say nothing, and cost the most."""
WORD = r"(?u)\b[^\W\d_]{2,}\b"


def texts(catalogue: Catalogue, n: int) -> Neighbours:
    """Return each product's ``n`` most alike by their words; none where the catalogue has no words.

    Products of one and the same text are alike to the full; which of many are kept is left open.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    size = len(catalogue.products)
    words = TfidfVectorizer(
        token_pattern=WORD, ngram_range=(1, 2), min_df=2, max_df=max(200, int(COMMON * size)),
        sublinear_tf=True, dtype=np.float32,
    )  # fmt: skip
    try:
        found = words.fit_transform(_texts(catalogue))
    except ValueError:  # no word is left
        return Neighbours(np.full((size, n), -1, np.int32), np.zeros((size, n), np.float32))
    return nearest(found.T.tocsr(), n)


def _texts(catalogue: Catalogue) -> list[str]:
    def last(codes: object, names: list[str]) -> list[str]:
        return [names[code] if code >= 0 else "" for code in np.asarray(codes).tolist()]

    parts = (
        [name.decode(errors="replace") for name in catalogue.name.tolist()],
        last(catalogue.category, catalogue.categories.all_names()),
        last(catalogue.brand, catalogue.brands.all_names()),
    )
    return [" . ".join(words) for words in zip(*parts, strict=True)]
