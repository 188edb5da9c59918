"""Times: read in the right zone, stored in UTC, and on the shop's own day."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from worlds.scratch import scratch

from features.errors import InputError
from features.ingest import ingest
from features.ingest.casting import MACROS, cast


def stored(folder: Path, cells: str, toml: str = "") -> list[tuple[datetime, date]]:
    (folder / "recompra.toml").write_text(toml, encoding="utf-8")
    lines = "".join(f"c{i},{cell}\n" for i, cell in enumerate(cells.split("|")))
    (folder / "order_lines.csv").write_text("customer_id,ordered_at\n" + lines, encoding="utf-8")
    ingest(folder, folder / "home")
    lines = f"'{folder}/home/warehouse/order_lines/*/*.parquet'"
    return duckdb.sql(f"SELECT ordered_at, ordered_on FROM {lines} ORDER BY customer_id").fetchall()


def test_without_a_zone_a_naive_time_is_utc(tmp_path):
    assert stored(tmp_path, "2024-07-01 23:30") == [(datetime(2024, 7, 1, 23, 30), date(2024, 7, 1))]


def test_a_naive_time_is_read_in_the_shops_zone_and_keeps_its_day(tmp_path):
    assert stored(tmp_path, "2024-07-01 23:30", "timezone = 'America/Sao_Paulo'") == [
        (datetime(2024, 7, 2, 2, 30), date(2024, 7, 1))
    ]


def test_a_naive_time_may_be_in_another_zone_than_the_shop(tmp_path):
    toml = "timezone = 'America/New_York'\ntimestamps = 'UTC'"
    assert stored(tmp_path, "2024-07-02 03:30", toml) == [(datetime(2024, 7, 2, 3, 30), date(2024, 7, 1))]


def test_a_bare_date_is_the_shops_midnight_whatever_zone_the_times_are_in(tmp_path):
    toml = "timezone = 'America/New_York'\ntimestamps = 'UTC'"
    assert stored(tmp_path, "2024-07-02", toml) == [(datetime(2024, 7, 2, 4, 0), date(2024, 7, 2))]


@pytest.mark.parametrize(
    "cell",
    [
        "2024-07-01T23:30:00+02:00",
        "2024-07-01 21:30:00Z",
        "2024-07-01 16:30:00-05",
        "2024-07-01 17:30:00 -0400",
        "2024-07-01 17:30:00 America/New_York",
        "2024-07-01 16:30:00 EST",
        "2024-07-01 23:30:00 GMT+0200",
    ],
)
def test_an_offset_in_the_file_wins(tmp_path, cell):
    assert stored(tmp_path, cell, "timezone = 'Asia/Tokyo'") == [
        (datetime(2024, 7, 1, 21, 30), date(2024, 7, 2))
    ]


@pytest.mark.parametrize("cell", ["2024-07-01 04:49 PM", "2024-07-01 16:49 Nowhere/Town"])
def test_a_time_is_refused_where_a_word_behind_it_is_not_understood(tmp_path, cell):
    with pytest.raises(InputError, match=f"must be a date or time .* as .*{cell}.*try_strptime"):
        stored(tmp_path, cell, "")


def test_hours_that_a_change_of_clocks_skips_or_repeats_do_not_crash(tmp_path):
    moments = stored(
        tmp_path, "2024-03-31 01:30|2024-10-27 01:30|2024-10-27 23:30", "timezone = 'Europe/London'"
    )
    assert [day for _, day in moments] == [date(2024, 3, 31), date(2024, 10, 27), date(2024, 10, 27)]
    assert moments[2][0] == datetime(2024, 10, 27, 23, 30)


def test_timestamps_with_a_zone_in_parquet_are_converted(tmp_path):
    sql = "SELECT 'a' AS customer_id, TIMESTAMPTZ '2024-07-01 23:30:00+02' AS ordered_at"
    duckdb.execute(f"COPY ({sql}) TO '{tmp_path}/lines.parquet'")
    (tmp_path / "recompra.toml").write_text("timezone = 'Asia/Tokyo'")
    ingest(tmp_path / "lines.parquet", tmp_path / "home")
    moment = duckdb.sql(
        f"SELECT ordered_at FROM '{tmp_path}/home/warehouse/order_lines/*/*.parquet'"
    ).fetchall()
    assert moment == [(datetime(2024, 7, 1, 21, 30),)]


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_aware_times_as_pandas_writes_them_are_converted(tmp_path, unit):
    moment = pd.Series(pd.to_datetime(["2024-07-01 23:30"])).dt.tz_localize("Europe/Paris").dt.as_unit(unit)
    pd.DataFrame({"customer_id": [7], "ordered_at": moment}).to_parquet(tmp_path / "lines.parquet")
    facts = ingest(tmp_path / "lines.parquet", tmp_path / "home").facts
    assert facts["first_at"] == "2024-07-01T21:30:00+00:00"


ZONES = ("America/New_York", "Europe/Lisbon", "Asia/Kathmandu", "Pacific/Auckland", "UTC")
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1))


def offsets(moment: datetime, zone: str) -> set[timedelta | None]:
    return {moment.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}


@settings(deadline=None, max_examples=60)
@given(moment=MOMENTS, zone=st.sampled_from(ZONES))
def test_reading_a_local_time_agrees_with_pythons_zoneinfo(moment, zone):
    assume(
        len(offsets(moment, zone)) == 1
    )  # else skipped or repeated by a change of clocks: two right readings
    expected = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)
    with scratch() as con:
        con.execute(MACROS)
        cell = cast(
            "time", f"'{moment.isoformat(sep=' ')}'", source_type="VARCHAR", timezone=zone, timestamps=zone
        )
        assert con.execute(f"SELECT {cell}").fetchall() == [(expected,)]
