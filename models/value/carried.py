"""Value over a horizon of which no window has closed: told of a part of it, and carried to the whole.

The chances of no order keep the proportion of their logs that BG/NBD foresees, order days and revenue the
proportion of its order days; so what those who pay come to grows by what is left between the two.
"""

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from models.chance.purchase_chance import stretched
from models.customers.lens import ORDERS
from models.value.value_parts import Figures, Learnt


def days_ratio(part: pd.DataFrame, whole: pd.DataFrame) -> Doubles:
    """Return the order days of the whole over those of the part, shape (n,), at least 1.

    ``part`` and ``whole`` are the rows of the same customers, read for either horizon.
    """
    ratio = whole[ORDERS].to_numpy(float) / np.maximum(part[ORDERS].to_numpy(float), 1e-12)
    return np.asarray(np.maximum(ratio, 1.0))


def carried(learnt: Learnt, part: pd.DataFrame, whole: pd.DataFrame) -> Learnt:
    """Return for the whole what was ``learnt`` of the part, customer by customer."""
    more, chance = days_ratio(part, whole), stretched(learnt.chance, part, whole)
    figures = Figures(learnt.figures.days * more, learnt.figures.revenue * more)
    grown = chance / learnt.chance
    return Learnt(chance, learnt.paid * grown, learnt.typical * more / grown, figures)
