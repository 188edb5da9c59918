"""Names of array types by what they hold: one name per dtype, used throughout."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.bytes_]
"""Ids and words, in UTF-8."""
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
"""Codes of a few things: a source, a reason, a role."""
Ints = NDArray[np.int32]
"""Codes, days and counts that are stored."""
Longs = NDArray[np.int64]
"""Positions in arrays, and counts that are summed."""
Rows = NDArray[np.intp]
"""Row numbers as returned by numpy's sorting and searching."""
Floats = NDArray[np.float32]
"""Numbers that are stored, and the ranker's input."""
Doubles = NDArray[np.float64]
"""Numbers that are summed or fitted."""
Column = NDArray[Any]
"""Numbers of any kind."""
Sparse = Any
"""A scipy sparse matrix (CSR unless stated otherwise); scipy's own types are not worth their noise."""
