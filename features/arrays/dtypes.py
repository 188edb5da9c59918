"""Names of arrays by what they hold: one name for one dtype, throughout."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.bytes_]
"""Ids and words, in UTF-8."""
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
"""Codes of a few things: a source, a reason, a role."""
Ints = NDArray[np.int32]
"""Codes, days and counts that are kept."""
Longs = NDArray[np.int64]
"""Places in arrays, and counts that are summed."""
Rows = NDArray[np.intp]
"""Rows as numpy finds them, by sorting and searching."""
Floats = NDArray[np.float32]
"""Numbers that are kept, and what the ranker reads."""
Doubles = NDArray[np.float64]
"""Numbers that are summed or fitted."""
Column = NDArray[Any]
"""Numbers of any kind."""
Sparse = Any
"""A sparse matrix of scipy's (CSR, if nothing else is said); its own types are not worth their noise."""
