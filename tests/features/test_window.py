from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.errors import SettingsError
from features.window import end_of_day, local_day, parse_cutoff, shift_days, zone

NEW_YORK = "America/New_York"
SAO_PAULO = "America/Sao_Paulo"


def test_a_bare_date_is_midnight_in_the_shops_zone():
    assert parse_cutoff("2017-12-04", NEW_YORK) == datetime(2017, 12, 4, 5, tzinfo=UTC)


def test_a_time_with_a_zone_keeps_its_moment():
    assert parse_cutoff("2017-12-04T01:00:00+01:00", NEW_YORK) == datetime(2017, 12, 4, tzinfo=UTC)


def test_a_horizon_over_a_change_of_clocks_still_ends_at_midnight():
    cutoff = parse_cutoff("2017-10-20", NEW_YORK)
    end = shift_days(cutoff, 28, timezone=NEW_YORK)
    assert end == parse_cutoff("2017-11-17", NEW_YORK)
    assert (end - cutoff).total_seconds() == 28 * 86400 + 3600


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)), st.integers(-400, 400)
)
def test_shifting_moves_the_local_day_by_as_many_days(moment, days):
    shifted = shift_days(moment, days, timezone=NEW_YORK)
    assert (local_day(shifted, NEW_YORK) - local_day(moment, NEW_YORK)).days == days


@given(st.dates(date(1995, 1, 1), date(2022, 1, 1)), st.integers(-400, 400))
@example(date(2018, 11, 4), -1)
@example(date(2018, 11, 4), 30)
def test_the_beginning_of_a_day_stays_one_where_clocks_skip_midnight(day, days):
    begins = parse_cutoff(day.isoformat(), SAO_PAULO)
    other = parse_cutoff((day + timedelta(days)).isoformat(), SAO_PAULO)
    assert shift_days(begins, days, timezone=SAO_PAULO) == other
    assert end_of_day(begins, SAO_PAULO) == parse_cutoff((day + timedelta(1)).isoformat(), SAO_PAULO)


def test_an_order_before_local_midnight_lies_on_the_earlier_day():
    assert local_day(datetime(2017, 12, 4, 4, 59, tzinfo=UTC), NEW_YORK) == date(2017, 12, 3)
    assert local_day(datetime(2017, 12, 4, 5, 0, tzinfo=UTC), NEW_YORK) == date(2017, 12, 4)


def test_a_day_ends_with_its_own_midnight_however_many_hours_it_has():
    clocks_go_back = datetime(2017, 11, 5, 12, tzinfo=UTC)
    assert end_of_day(clocks_go_back, NEW_YORK) == parse_cutoff("2017-11-06", NEW_YORK)


@pytest.mark.parametrize("text", ["yesterday", "2017-13-01", "4/12/2017", "9999-12-31", "0001-01-01"])
def test_an_unreadable_cutoff_says_how_to_write_one(text):
    with pytest.raises(SettingsError, match="YYYY-MM-DD"):
        parse_cutoff(text)


def test_an_unknown_zone_is_named():
    with pytest.raises(SettingsError, match="Mars/Olympus"):
        zone("Mars/Olympus")
