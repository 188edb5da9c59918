"""Value over a horizon of which no window has closed: predicted for a part, and extrapolated to the whole.

Hazards (minus the logs of the chances of no order) are scaled in BG/NBD's ratio of hazards, order days and
revenue in its ratio of order days; the amount per paying customer follows from the two.
"""

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from models.chance.purchase_chance import extrapolate
from models.customers.inputs import ORDERS
from models.value.value_parts import Figures, Learnt


def days_ratio(part: pd.DataFrame, whole: pd.DataFrame) -> Doubles:
    """Return the order days of the whole over those of the part, shape (n,), at least 1.

    ``part`` and ``whole`` are the rows of the same customers, read for each horizon.
    """
    ratio = whole[ORDERS].to_numpy(float) / np.maximum(part[ORDERS].to_numpy(float), 1e-12)
    return np.asarray(np.maximum(ratio, 1.0))


def extrapolated(learnt: Learnt, part: pd.DataFrame, *, whole: pd.DataFrame) -> Learnt:
    """Return the forecasts for the whole, from those ``learnt`` for the part, customer by customer."""
    more, chance = days_ratio(part, whole), extrapolate(learnt.chance, part, whole=whole)
    figures = Figures(learnt.figures.days * more, learnt.figures.revenue * more)
    grown = chance / learnt.chance
    return Learnt(chance, learnt.paid * grown, learnt.typical * more / grown, figures)
