"""What each list may contain: one line per list, read by its rules, its ranking and its answers."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class ListKind(NamedTuple):
    """The properties of one list; how its products are found is in ``Live.rank``."""

    personal: bool = False
    """Made with every scoring for every customer; other lists are made when asked for."""
    bought: Literal["only", "never", "if bought again", "any"] = "if bought again"
    """Which products bought before it may contain; ``if bought again``: of categories that are (coffee)."""
    filled: bool = True
    """Whether best sellers fill it up for known customers."""
    by_attributes: bool = False
    """Whether attributes can order it for customers without orders."""


LISTS: Mapping[str, ListKind] = {
    "for_you": ListKind(personal=True, by_attributes=True),
    "buy_again": ListKind(personal=True, bought="only", filled=False),
    "new_for_you": ListKind(personal=True, bought="never", by_attributes=True),
    "bought_together": ListKind(),
    "upsell": ListKind(filled=False),  # best sellers are no better version of anything
    "popular": ListKind(bought="any"),
}
PERSONAL: tuple[str, ...] = tuple(name for name, kind in LISTS.items() if kind.personal)
"""The lists made for every customer."""
