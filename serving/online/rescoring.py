"""Recomputes a few customers on the scoring in service: its rows, its models, and the events since."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from features.excerpt import Excerpt
from features.window import local_day, naive_utc
from models.kinds import ScoreModel
from serving.online.backlog import NewEvents
from serving.registry import scoring_on_disk
from serving.scoring.columns import Columns
from serving.scoring.customer_scores import excerpt_of, scores_of
from serving.state import Pointer

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rescoring:
    """Recomputes customers on one scoring: its rows, its models, its moment."""

    stamp: str
    as_of: datetime
    models: Mapping[str, ScoreModel]
    excerpt: Excerpt

    @classmethod
    def open(cls, home: Path) -> "Rescoring":
        """Load the scoring in service; raise ``ArtefactError`` if that is impossible."""
        pointer = Pointer.read(home)
        as_of = datetime.fromisoformat(pointer.as_of)
        made = cls(
            stamp=pointer.stamp,
            as_of=as_of,
            models=scoring_on_disk(home, pointer.models),
            excerpt=excerpt_of(home, pointer.stamp, as_of=as_of),
        )
        made.probe()
        return made

    def probe(self) -> None:
        """Score one customer without new events, so that everything lazy is loaded now."""
        self.excerpt.take(self.excerpt.anyone())
        self._tables(self.as_of, self.excerpt.customers_seen(self.as_of))

    def rows(self, ids: Sequence[str], news: NewEvents) -> list[dict[str, Any]]:
        """Return rows of ``refreshed`` for the customers among ``ids`` who ever ordered, all on one day."""
        cutoff = max(row["occurred_at"] for row in news.events) + INSTANT
        events, contacts = _plain(news)
        self.excerpt.take(ids, events, contacts=contacts)
        names = self.excerpt.customers_seen(cutoff)
        features, scores = self._tables(cutoff, names)
        basis = {"stamp": self.stamp, "as_of": cutoff, "events_seq": news.seq}
        columns = zip(names, features, scores, strict=True)
        return [basis | {"customer_id": name, "features": f, "scores": s} for name, f, s in columns]

    def _tables(self, cutoff: datetime, names: "pd.Index[str]") -> list[list[dict[str, Any]]]:
        """Return features and scores of the customers held, as one dictionary each."""
        features = self.excerpt.customer_features(cutoff).reindex(names)
        scores = scores_of(self.models, self.excerpt, cutoff=cutoff, names=list(names))
        return [list(Columns.of(table).rows(slice(None))) for table in (features, scores)]


def _plain(news: NewEvents) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return events and contacts with moments as in the warehouse."""
    events = [row | {"occurred_at": naive_utc(row["occurred_at"])} for row in news.events]
    return events, [row | {"sent_at": naive_utc(row["sent_at"])} for row in news.contacts]


def by_day(news: NewEvents, timezone: str) -> Iterator[tuple[list[str], NewEvents]]:
    """Group customers by the shop's day of their newest event: each day's customers share a cutoff."""
    newest: dict[str, datetime] = {}
    for row in news.events:
        name = row["customer_id"]
        newest[name] = max(newest.get(name, row["occurred_at"]), row["occurred_at"])
    days: dict[date, list[str]] = {}
    for name, moment in newest.items():
        days.setdefault(local_day(moment, timezone), []).append(name)
    for ids in days.values():
        yield ids, news.take(ids)
