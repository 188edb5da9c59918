"""How far ahead a shop of some age can be told of; its first order is at noon, so half days count too."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import CannotLearn
from features.shop import Shop
from features.window import YEAR_DAYS, last_year_days, parse_cutoff
from models.chance.horizon import TEXTS, Horizon, season_from, sentence, with_texts

FIRST = datetime(2024, 1, 1, 12, tzinfo=UTC)
AGES, HORIZONS = st.integers(1, 900), st.integers(1, 730)
ZONES = st.sampled_from(["UTC", "America/Sao_Paulo", "Europe/Lisbon"])


def a_shop(zone: str = "UTC") -> Any:
    """Return what a horizon reads of a shop."""
    return SimpleNamespace(warehouse=SimpleNamespace(first_at=FIRST), timezone=zone)


def cutoff(age_days: int, zone: str = "UTC") -> datetime:
    return parse_cutoff((date(2024, 1, 1) + timedelta(days=age_days)).isoformat(), zone)


def horizon_at(age_days: int, horizon: int, zone: str = "UTC") -> Horizon | None:
    """Return the horizon at an age; None where it is refused."""
    try:
        return Horizon.of(a_shop(zone), cutoff(age_days, zone), horizon_days=horizon)
    except CannotLearn:
        return None


def windows(age_days: int, horizon: int, zone: str = "UTC") -> int:
    """Return how many windows have closed by then, two weeks apart."""
    try:
        return len(Shop.past_cutoffs(a_shop(zone), cutoff(age_days, zone), horizon, n=8, step_days=14))
    except CannotLearn:
        return 0


@given(AGES, HORIZONS, ZONES)
def test_a_horizon_with_a_window_of_its_own_is_never_carried(age: int, horizon: int, zone: str) -> None:
    found = horizon_at(age, horizon, zone)
    assert (found is not None and not found.is_extrapolated) == (windows(age, horizon, zone) > 0)


@given(AGES, HORIZONS, ZONES)
def test_what_is_carried_is_learnt_from_windows(age: int, horizon: int, zone: str) -> None:
    found = horizon_at(age, horizon, zone)
    if found is not None:
        assert found.learnt_days <= horizon <= age
        assert windows(age, found.learnt_days, zone) > 0


@given(st.integers(91, 900), HORIZONS)
def test_from_thirteen_weeks_on_several_windows_teach_what_is_carried(age: int, horizon: int) -> None:
    found = horizon_at(age, horizon)
    if found is not None and found.is_extrapolated:
        assert windows(age, found.learnt_days) >= 3


@given(AGES, HORIZONS)
def test_a_refusal_names_the_longest_horizon_that_is_told(age: int, horizon: int) -> None:
    try:
        Horizon.of(a_shop(), cutoff(age), horizon_days=horizon)
    except CannotLearn as error:
        longest = int(error.hint.partition("possible now is ")[2].partition(" days")[0])
        assert longest < horizon
        assert horizon_at(age, longest + 1) is None
        assert longest == 0 or horizon_at(age, longest) is not None


@given(AGES, HORIZONS)
def test_a_refusal_names_the_first_day_on_which_it_will_be_told(age: int, horizon: int) -> None:
    try:
        Horizon.of(a_shop(), cutoff(age), horizon_days=horizon)
    except CannotLearn as error:
        day = date.fromisoformat(error.hint.partition(" from ")[2].partition(" on")[0])
        later = (day - date(2024, 1, 1)).days
        assert horizon_at(later, horizon) is not None
        assert horizon_at(later - 1, horizon) is None
        assert f" needs {later} days of orders, not {age}" in str(error)


@given(AGES, HORIZONS, ZONES)
def test_the_day_it_is_learnt_from_is_the_first_on_which_it_is(age: int, horizon: int, zone: str) -> None:
    found = horizon_at(age, horizon, zone)
    if found is not None:
        later = (found.learnt_from - date(2024, 1, 1)).days
        on, before = horizon_at(later, horizon, zone), horizon_at(later - 1, horizon, zone)
        assert on is not None and not on.is_extrapolated
        assert before is None or before.is_extrapolated


@pytest.mark.parametrize("zone", ["UTC", "Europe/Lisbon"])  # Lisbon's midnights move in summer
def test_days_of_a_first_order_at_midnight_are_full_at_a_midnight(zone: str) -> None:
    shop, year = a_shop(zone), last_year_days(60)
    shop.warehouse.first_at = cutoff(0, zone)
    before, on = (Horizon.of(shop, cutoff(age, zone), horizon_days=60) for age in (119, 120))
    assert (before.is_extrapolated, on.is_extrapolated) == (True, False)
    assert cutoff(120).date() == before.learnt_from == on.learnt_from
    assert season_from(shop, cutoff(year - 1, zone), horizon_days=60) == cutoff(year).date()
    assert season_from(shop, cutoff(year, zone), horizon_days=60) is None


@pytest.mark.parametrize("zone", ["UTC", "Europe/Lisbon"])
@pytest.mark.parametrize(("age", "horizon"), [(273, 273), (304, 180), (42, 42)])
def test_a_shop_older_than_the_horizon_is_told_of_it(age: int, horizon: int, zone: str) -> None:
    found = horizon_at(age, horizon, zone)
    assert found is not None
    assert found.learnt_days == age // 3


def test_a_shop_younger_than_the_horizon_or_than_six_weeks_is_not() -> None:
    assert horizon_at(41, 41) is None
    with pytest.raises(
        CannotLearn, match="the longest horizon possible now is 120 days; 273 from 2024-09-30 on"
    ):
        Horizon.of(a_shop(), cutoff(120), horizon_days=273)


def test_plain_data_and_back() -> None:
    found = Horizon.of(a_shop(), cutoff(200), horizon_days=180)
    assert Horizon.of_facts(found.facts()) == found


def test_a_note_reads_in_every_language() -> None:
    assert all(texts.keys() == TEXTS["en"].keys() for texts in TEXTS.values())
    note, season = Horizon.of(a_shop(), cutoff(200), horizon_days=180).notes("churn")
    assert "totals are too low or too high. From 2025-12-26 on last year's" in sentence(season)
    assert "os totais ficam baixos ou altos demais" in sentence(season, "pt")
    assert "extrapolated to 180 by BG/NBD for each customer: not calibrated" in sentence(note)
    day = sentence(season | {"horizon_days": 1})
    assert day.startswith("churn: the shop's history does not include this day of last year")
    told = with_texts([note], "pt-BR")[0]
    assert told == note | {"text": sentence(note, "pt")}
    assert told["text"].startswith("churn: ainda não se completou nenhuma janela de 180 dias")
    assert "{" not in sentence(note) + sentence(note, "pt")


def test_there_is_nothing_to_note_of_what_is_learnt() -> None:
    assert Horizon.of(a_shop(), cutoff(725), horizon_days=180).notes("churn") == []
    assert Horizon.of(a_shop(), cutoff(740), horizon_days=365).notes("churn") == []


@given(AGES, HORIZONS, ZONES)
def test_a_season_is_told_from_the_first_day_with_a_last_year(age: int, horizon: int, zone: str) -> None:
    day = season_from(a_shop(zone), cutoff(age, zone), horizon_days=horizon)
    if day is None:
        assert horizon > 364 or age > 364 + horizon + max(90, horizon)
    else:
        later = (day - date(2024, 1, 1)).days
        assert season_from(a_shop(zone), cutoff(later, zone), horizon_days=horizon) is None
        assert season_from(a_shop(zone), cutoff(later - 1, zone), horizon_days=horizon) == day


def test_a_horizon_of_a_year_has_a_season_and_a_longer_one_holds_them_all() -> None:
    assert season_from(a_shop(), cutoff(740), horizon_days=YEAR_DAYS) is not None
    assert season_from(a_shop(), cutoff(740), horizon_days=YEAR_DAYS + 1) is None


def test_the_season_is_noted_as_unknown_until_the_day_it_is_known() -> None:
    found = Horizon.of(a_shop(), cutoff(400), horizon_days=60)
    assert found.season_from is not None
    days = found.season_from - timedelta(days=1), found.season_from
    assert [[note["code"] for note in found.notes("ltv", day)] for day in days] == [["season"], []]


def test_a_model_saved_before_seasons_were_told_of_is_read() -> None:
    facts = {"horizon_days": 28, "learnt_days": 28, "learnt_from": "2024-02-26"}
    assert Horizon.of_facts(facts).notes("ltv") == []
