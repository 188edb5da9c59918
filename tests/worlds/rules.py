"""The list rules of a shop without any: everything may be shown, ordered by its chance."""

import numpy as np

from models.lists.rules import Rules


def no_rules(n_products: int) -> Rules:
    yes = np.ones(n_products, bool)
    return Rules(yes, ~yes, np.ones(n_products, np.float32), np.full(n_products, -1, np.int32), ~yes)
