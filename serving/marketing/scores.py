"""Scores of all customers, page by page or as one stream: filtered, and from one scoring throughout.

A cursor names its scoring and the next row. The last ``serving.scoring.kept.N_RETAINED`` scorings stay
readable; a cursor of an older one is answered with 410.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays.dtypes import Bools, Longs
from features.arrays.history import Vocabulary
from features.arrays.stored import read_array
from features.errors import ArtefactError, Gone, NotFound
from models.chance.horizon import in_short, with_texts
from models.texts import DEFAULT
from serving.api_crm import ScoresPage, ScoresRequest
from serving.marketing.files import File, Row, tag_of
from serving.online import refreshed
from serving.online.refreshed import Refreshed
from serving.online.view import DEAD, View
from serving.persons.marks import ErasedCustomers, Marks
from serving.scoring.columns import Columns, release_pages
from serving.state import State

BLOCK = 1000
"""Rows generated at once: few enough to let the worker's other requests in between."""
MAX_ROWS = 10_000
"""Maximum rows per page."""
OLD_KEPT = 2


@dataclass(frozen=True)
class Scoring:
    """The data of pages."""

    stamp: str
    moment: str
    models: dict[str, str]
    horizon_days: int
    currency: str
    customers: Vocabulary
    features: Columns
    scores: Columns
    erased_customers: ErasedCustomers
    locale: str = DEFAULT
    notes: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, state: State) -> "Scoring":
        """Take the scoring in service."""
        own = state.snapshot
        card = own.stamp, own.moment, own.models, own.horizon_days, own.currency
        tables = own.customers, own.features, own.scores
        return cls(*card, *tables, state.erased_customers, own.locale, own.notes)

    def release_pages(self) -> None:
        """Release the memory of what reading all customers has loaded."""
        self.scores.release_pages()
        release_pages(self.customers.ids)

    @property
    def names(self) -> list[str]:
        """The columns of a row."""
        return ["customer_id", "as_of", *self.scores.order]

    def erased(self, view: View) -> Bools:
        """Mark customers who were erased since."""
        return self.erased_customers.mask(view.salt, view.erased)

    def rows(self, at: Longs, view: View, *, changed: Collection[str] = ()) -> list[Row]:
        """Return rows without customers erased since; for ``changed`` customers the refreshed ones."""
        at = at[~self.erased(view)[at]]
        ids = self.customers.names(at)
        some = [name for name in ids if name in changed]
        newest = refreshed.of_customers(view.store, self.stamp, ids=some) if some else {}
        rows = zip(ids, [self.moment] * len(ids), *self.scores.shown(at), strict=True)
        return [self._newest(name, newest[name]) if (name := row[0]) in newest else row for row in rows]

    def _newest(self, name: str, row: Refreshed) -> Row:
        return (name, row.as_of, *(row.scores.get(column) for column in self.scores.order))


@dataclass(frozen=True)
class ScoresQuery:
    """One request for scores, on the scoring its cursor names."""

    scoring: Scoring
    view: View
    request: ScoresRequest
    rows: Longs
    """All matching rows from the cursor on."""
    n_customers: int
    """Customers of the scoring, without those erased since."""
    n_found: int
    """All that match."""
    tag: str
    """Changes with the scoring, the request, every erasure and every refresh."""

    @classmethod
    def of(cls, state: State, request: ScoresRequest, *, home: Path) -> "ScoresQuery":
        """Find the scoring and the rows.

        Raises ``Gone`` for an expired cursor, ``NotFound`` for a filter on a column that no model provides.
        """
        scoring, start = _at_cursor(state, request.cursor, home)
        moved = [len(state.view.erased), state.view.seen["refreshed"]]
        card = [scoring.stamp, request.model_dump(mode="json"), moved]
        kept = ~scoring.erased(state.view)
        matched = np.flatnonzero(matching(scoring, request) & kept)
        left, tag = matched[np.searchsorted(matched, start) :], tag_of(json.dumps(card).encode())
        return cls(scoring, state.view, request, left, int(kept.sum()), len(matched), tag)

    @property
    def most(self) -> int:
        """Maximum number of rows to return."""
        whole = MAX_ROWS if self.request.format == "json" else len(self.rows)
        return self.request.limit or whole

    def blocks(self) -> Iterator[list[Row]]:
        """Return the rows, a block at a time."""
        changed = self._changed()
        for start in range(0, min(self.most, len(self.rows)), BLOCK):
            yield self.scoring.rows(
                self.rows[start : min(start + BLOCK, self.most)], self.view, changed=changed
            )
            self.scoring.release_pages()

    def _changed(self) -> set[str]:
        """Return the customers refreshed on this scoring; empty if the store is unavailable."""
        if not self.view.seen["refreshed"]:
            return set()
        try:
            return refreshed.names(self.view.store, self.scoring.stamp)
        except DEAD:
            return set()

    @property
    def next_cursor(self) -> str | None:
        """Where the next page starts; None after the last one."""
        left = self.rows[self.most : self.most + 1].tolist()
        return f"{self.scoring.stamp}:{left[0]}" if left else None

    def page(self) -> ScoresPage:
        """Return the page as one response."""
        names = self.scoring.names
        return ScoresPage.model_construct(
            as_of=self.scoring.moment,
            models=self.scoring.models,
            currency=self.scoring.currency,
            scores=[dict(zip(names, row, strict=True)) for block in self.blocks() for row in block],
            n_customers=self.n_customers,
            n_found=self.n_found,
            next_cursor=self.next_cursor,
            notes=with_texts(self.scoring.notes, self.scoring.locale),
        )

    def file(self) -> File:
        """Return a file that is generated while sent."""
        own = {"x-as-of": self.scoring.moment, "x-currency": self.scoring.currency}
        headers = {**own, "x-next-cursor": self.next_cursor, "x-notes": in_short(self.scoring.notes)}
        # A header is ASCII, and a shop may call its currency €.
        sent = {name: value for name, value in headers.items() if value and value.isascii()}
        return File(self.scoring.names, self.blocks(), self.tag, sent)


def matching(scoring: Scoring, request: ScoresRequest) -> Bools:
    """Mark the customers that match every filter; unknown values match no range."""
    kept = np.ones(len(scoring.customers), bool)
    days = scoring.horizon_days
    ranges = (
        (scoring.scores, f"churn_probability_{days}d", "churn_probability"),
        (scoring.scores, f"expected_margin_{days}d", "expected_margin"),
        (scoring.features, "n_orders", "n_orders"),
        (scoring.features, "days_since_last_order", "days_since_last_order"),
    )
    for table, column, field in ranges:
        low, high = (getattr(request, f"{end}_{field}") for end in ("min", "max"))
        if low is not None or high is not None:
            values = table.number(_known(table, column))
            kept &= values >= (-np.inf if low is None else low)
            kept &= values <= (np.inf if high is None else high)
    for column, words in (("segment", request.segments), ("persona", request.personas)):
        if words is not None:
            kept &= scoring.scores.among(_known(scoring.scores, column), words)
    return kept


def _known(table: Columns, column: str) -> str:
    if column not in table.kinds:
        raise NotFound(
            f"no model in service gives {column!r}, so customers cannot be chosen by it",
            f"there are {', '.join(table.order) or 'no columns yet'}",
        )
    return column


def _at_cursor(state: State, cursor: str | None, home: Path) -> tuple[Scoring, int]:
    if cursor is None:
        return Scoring.of(state), 0
    stamp, _, row = cursor.rpartition(":")
    if stamp == state.snapshot.stamp:
        return Scoring.of(state), int(row)
    try:
        folder = home / "lists" / stamp
        return _read(folder, (folder / "manifest.json").stat().st_mtime_ns), int(row)
    except (OSError, ValueError, KeyError, ArtefactError) as error:
        gone = f"the scoring {stamp} of this cursor is no longer kept"
        raise Gone(
            gone, "start again without a cursor; a walk may last until two newer ones have landed"
        ) from error


@lru_cache(maxsize=OLD_KEPT)
def _read(folder: Path, _written: int) -> Scoring:
    """Memory-map an older scoring, once for all pages of a walk."""
    card = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    features, scores = (Columns.load(folder / name) for name in ("features", "scores"))
    customers = Vocabulary(read_array(folder, "customers"))
    return Scoring(
        stamp=folder.name,
        moment=card["as_of"],
        models=card["models"],
        horizon_days=card["horizon_days"],
        currency=card["currency"],
        customers=customers,
        features=features,
        scores=scores,
        erased_customers=ErasedCustomers(customers, Marks.load(folder)),
        locale=card["locale"],
        notes=card.get("notes", ()),
    )
