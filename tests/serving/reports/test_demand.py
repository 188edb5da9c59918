from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from worlds.orders import make_home, order_lines, products

from features.errors import NotFound, SettingsError
from features.shop import Shop
from features.window import parse_cutoff
from models.repurchase import Repurchase, RepurchaseConfig
from serving.reports.demand import demand, guests_counted, season_unknown, table, write


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose registry holds one champion: a clock that learnt from all but the last 28 days."""
    made = make_home(tmp_path_factory.mktemp("shop"), order_lines(), products=products())
    Repurchase.fit(Shop(made), parse_cutoff("2024-06-21"), config=RepurchaseConfig()).save(made / "clock")

    class OneChampion:
        def __init__(self, home: Path) -> None:
            self.home = home

        def champions(self) -> dict[str, str]:
            return {Repurchase.name: "clock"}

        def fetch(self, champion: str) -> Path:
            return self.home / champion

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.reports.demand.Registry", OneChampion)
        yield made


def test_the_champion_tells_demand_from_the_end_of_the_orders_on(home: Path) -> None:
    found = demand(home)
    assert sorted(found["product_id"]) == sorted(products()["product_id"])
    assert found["expected_buyers"].is_monotonic_decreasing
    assert (found["p10"] <= found["p90"]).all()
    assert len(table(found, 5).rows) == 5


def test_without_a_champion_it_is_said_who_tells_what_it_lacks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.reports.demand.Registry.champions", lambda _: {})
    with pytest.raises(NotFound, match="repurchase` trains it, or says what it lacks"):
        demand(home)


def test_an_earlier_day_is_told_without_what_came_after(home: Path) -> None:
    assert not demand(home, parse_cutoff("2024-05-01")).equals(demand(home))
    with pytest.raises(SettingsError, match="nothing was ordered before"):
        demand(home, parse_cutoff("2020-01-01"))
    with pytest.raises(SettingsError, match="2024-09-01 is in the future"):
        demand(home, parse_cutoff("2024-09-01"), now=parse_cutoff("2024-08-01"))


def test_every_row_says_of_which_days_it_is(home: Path) -> None:
    found = demand(home, parse_cutoff("2024-05-01"))
    assert (set(found["as_of"]), set(found["horizon_days"])) == ({"2024-05-01"}, {28})
    assert "28 days from 2024-05-01" in str(table(found).title)


def test_it_is_said_how_lines_without_a_customer_count(home: Path, tmp_path: Path) -> None:
    lines = order_lines()
    lines.loc[lines.index % 4 == 0, "customer_id"] = None
    assert guests_counted(home) == ""
    assert "25% of the shop's lines" in guests_counted(make_home(tmp_path, lines, products=products()))


def test_it_is_said_that_no_last_year_tells_the_season(home: Path) -> None:
    told = season_unknown(home, demand(home))
    assert told.startswith("demand: the shop's history does not include these 28 days")
    assert season_unknown(home, demand(home).assign(as_of="2025-06-21")) == ""
    assert season_unknown(home, demand(home).head(0)) == ""


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_file_holds_every_product(home: Path, tmp_path: Path, suffix: str) -> None:
    found, out = demand(home), tmp_path / "to" / f"demand{suffix}"
    write(found, out)
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read(out), found, check_dtype=False)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="neither .csv nor .parquet"):
        write(pd.DataFrame(), tmp_path / "demand.xlsx")
