"""Protection against formulas in CSV: a text that begins like one is prefixed with an apostrophe.

Customers choose some of these texts themselves: an e-mail address used as an id may begin with ``=``. Signed
numbers and telephone numbers are left unchanged, and so is everything in JSON, NDJSON and Parquet.
"""

import re
from collections.abc import Sequence
from typing import Any

FREE_TEXT = ("customer_id", "product_id", "product_name", "name")
"""Columns whose values are chosen by others."""
FORMULA = re.compile(r"\s*[=@]|\s*[+-](?![\d\s().,/-]*\Z)")


def guarded(value: Any) -> Any:
    """Return a cell that is safe in a spreadsheet; line breaks in it are converted to the file's."""
    if not isinstance(value, str) or (value[:1].isalnum() and "\r" not in value):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if FORMULA.match(text) else text


def guarded_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Return the rows under these names, guarded; usually the very same."""
    free = [at for at, name in enumerate(names) if name in FREE_TEXT]
    if all(guarded(row[at]) is row[at] for at in free for row in rows):
        return rows
    return [[guarded(cell) if at in free else cell for at, cell in enumerate(row)] for row in rows]
