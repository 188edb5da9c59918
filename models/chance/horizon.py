"""How far ahead a young shop can be predicted: the horizon requested, and the one learnt from its windows.

A horizon is learnt from its own windows if one has closed with as much history before it: from twice its
length on. Before that a third of the history is learnt, of which several windows have closed, and
extrapolated to the whole in the ratio that BG/NBD, fitted on all of the history, expects for each customer.
This is not calibrated, and the answer says so. For measurements see ``tests/benchmarks/MEASUREMENTS.md``.

The season of the horizon comes from the shop's last year (``models.chance.season``); the answer says if there
is none yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from features.errors import CannotLearn
from features.window import YEAR_DAYS, last_year_days, local_day, shift_days
from models.texts import DEFAULT, Table, say

if TYPE_CHECKING:
    from features.shop import Shop
    from models.processes.buy_till_you_die import BetaGeoNBD

PARTS = 3
"""A horizon that cannot be learnt itself is replaced by this part of the history."""
FEWEST_DAYS = 42
"""Minimum days of history for extrapolation: a shop's first weeks are unlike any others."""

TEXTS: Table = {
    "en": {
        "carried": "{model}: no window of {horizon_days} days has closed yet. Learnt from windows of "
        "{learnt_days} days and extrapolated to {horizon_days} by BG/NBD for each customer: not "
        "calibrated. From {learnt_from} on it can be learnt from its own windows (by a training, which keeps "
        "one horizon to measure on: one horizon later)",
        "season": "{model}: the shop's history does not include these {horizon_days} days of last year, "
        "with enough before them. If they contain a season (a Christmas, a summer), "
        "totals are too low or too high. From {season_from} on last year's season is included",
        "season.one": "{model}: the shop's history does not include this day of last year, with enough "
        "before it. If it is a special one (a Black Friday, a holiday), totals are too low or too high. From "
        "{season_from} on last year's season is included",
    },
    "pt": {
        "carried": "{model}: ainda não se completou nenhuma janela de {horizon_days} dias. Aprendido em "
        "janelas de {learnt_days} dias e extrapolado para {horizon_days} pelo BG/NBD, cliente a cliente: não "
        "calibrado. A partir de {learnt_from} pode ser aprendido em janelas próprias (por um treino, que "
        "reserva um horizonte para medir: um horizonte depois)",
        "season": "{model}: o histórico da loja não inclui estes mesmos {horizon_days} dias do ano passado, "
        "com dados suficientes antes deles. Se houver neles uma época especial (um Natal, um verão), os "
        "totais ficam baixos ou altos demais. A partir de {season_from}, a época do ano passado é levada em "
        "conta",
        "season.one": "{model}: o histórico da loja não inclui este mesmo dia do ano passado, com dados "
        "suficientes antes dele. Se for um dia especial (uma Black Friday, um feriado), os totais ficam "
        "baixos ou altos demais. A partir de {season_from}, a época do ano passado é levada em conta",
    },
}


@dataclass(frozen=True)
class Horizon:
    """The horizon requested, the one learnt from windows, and from when on these are the same."""

    horizon_days: int
    learnt_days: int
    learnt_from: date
    """The first cutoff at which a window of the horizon has closed with as much history before it."""
    season_from: date | None
    """See ``season_from``."""

    @classmethod
    def of(cls, shop: "Shop", known_until: datetime, *, horizon_days: int) -> Self:
        """Return what can be predicted of a horizon; else ``CannotLearn``, with the longest one possible."""
        first, zone = shop.warehouse.first_at, shop.timezone
        opens, first_day = shift_days(first, 2 * horizon_days, timezone=zone), local_day(first, zone)
        learnt_from = _first_cutoff(opens, zone)
        season = season_from(shop, known_until, horizon_days=horizon_days)
        if opens <= known_until:
            return cls(horizon_days, horizon_days, learnt_from, season)
        history = (local_day(known_until, zone) - first_day).days
        if history >= max(FEWEST_DAYS, horizon_days):
            return cls(horizon_days, history // PARTS, learnt_from, season)
        learnable = (known_until - first).days // 2
        longest = history if history >= FEWEST_DAYS else learnable
        needed = max(FEWEST_DAYS, horizon_days)
        told_from = min(first_day + timedelta(days=needed), learnt_from)
        raise CannotLearn(
            f"a horizon of {horizon_days} days needs {(told_from - first_day).days} days of orders, "
            f"not {history}",
            f"the longest horizon possible now is {longest} days; {horizon_days} {later(told_from)}",
        )

    @property
    def is_extrapolated(self) -> bool:
        """Whether answers are extrapolated from a shorter horizon, and so not calibrated over their own."""
        return self.learnt_days < self.horizon_days

    def check(self, bgnbd: "BetaGeoNBD | None") -> None:
        """Raise ``CannotLearn`` if there is nothing to extrapolate by, because nobody came back."""
        if bgnbd is None:
            raise CannotLearn(
                f"no window of {self.horizon_days} days has closed, and nobody came back, so a shorter one "
                "cannot be extrapolated",
                f"{self.learnt_days} days are possible; {self.horizon_days} {later(self.learnt_from)}",
            )

    def notes(self, model: str, as_of: date | None = None) -> list[dict[str, Any]]:
        """Return the caveats on a model's answers as of a day, as plain data for ``sentence``.

        Without one, as of the end of what it was learnt from.
        """
        unknown = self.season_from is not None and (as_of is None or as_of < self.season_from)
        codes = {"carried": self.is_extrapolated, "season": unknown}
        return [{"code": code, "model": model} | self.facts() for code, holds in codes.items() if holds]

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        days = {name: day and day.isoformat() for name, day in asdict(self).items() if name.endswith("_from")}
        return asdict(self) | days

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``facts`` returned."""
        learnt_from, season = date.fromisoformat(facts["learnt_from"]), facts.get("season_from")
        return cls(
            facts["horizon_days"], facts["learnt_days"], learnt_from, season and date.fromisoformat(season)
        )


def season_from(shop: "Shop", known_until: datetime, *, horizon_days: int) -> date | None:
    """Return the first cutoff at which last year shows a horizon's season.

    None if it is shown by ``known_until``, or the horizon is longer than a year and contains all seasons.
    """
    told_from = shift_days(shop.warehouse.first_at, last_year_days(horizon_days), timezone=shop.timezone)
    is_told = told_from <= known_until or horizon_days > YEAR_DAYS
    return None if is_told else _first_cutoff(told_from, shop.timezone)


def _first_cutoff(moment: datetime, timezone: str) -> date:
    """Return the day whose midnight is the first at or after a moment."""
    return local_day(moment - timedelta(microseconds=1), timezone) + timedelta(days=1)


def later(day: date) -> str:
    """Return in words from which cutoff on a horizon is possible."""
    return f"from {day} on (by a training, which keeps one horizon to measure on: one horizon later)"


def with_texts(notes: Iterable[Mapping[str, Any]], locale: str = DEFAULT) -> list[dict[str, Any]]:
    """Return notes with their ``text`` in a language, for an answer."""
    return [dict(note) | {"text": sentence(note, locale)} for note in notes]


def in_short(notes: Iterable[Mapping[str, Any]]) -> str:
    """Return notes in the form of a header: codes and models."""
    return ", ".join(f"{note['code']}:{note['model']}" for note in notes)


def sentence(note: Mapping[str, Any], locale: str = DEFAULT) -> str:
    """Return a note as a sentence."""
    words = {key: note[key] for key in note if key != "code"}
    return say(TEXTS, note["code"], locale=locale, n=note["horizon_days"], **words)
