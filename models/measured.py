"""One method's predictions with the outcomes; not in ``kinds``, which rooms may not import."""

from typing import NamedTuple

from features.arrays.dtypes import Column


class Measured(NamedTuple):
    """One method's predictions for some rows, with the outcomes."""

    method: str
    judged: str
    """``event`` (truth 0 or 1, score), ``total`` (truth, amount), ``inside`` (truth, low, high), or the name
    of a metric whose mean is the figure."""
    segment: str
    rows: Column
    """Identifies the rows: the same numbers for every method, so that differences are paired."""
    columns: tuple[Column, ...]
