"""The backtest with our own models, on a small shop with every table."""

import json
from pathlib import Path

import pandas as pd
import pytest
from worlds import fakes
from worlds.orders import contacts, make_home, products

from models.kinds import EffectModel
from models.registry import MODELS, model_class
from training.backtest import backtest

CUTOFF = "2024-06-01"
FILES = ("recommendations.parquet", "customers.parquet")


def run(folder: Path, lines: pd.DataFrame) -> Path:
    home = make_home(folder, lines, products=products(), contacts=contacts(lines))
    backtest(home, folder / "out", cutoff=CUTOFF, horizon_days=28)
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("true"), fakes.lines_with_leavers())


def test_every_model_is_learnt_and_measured_on_a_small_shop(out) -> None:
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    effects = {name for name in MODELS if issubclass(model_class(name), EffectModel)}
    assert set(metrics["not_learnt"]) == effects  # its contacts have no propensity
    assert set(metrics["models"]) == set(MODELS) - effects


def test_no_column_of_a_customer_is_empty(out) -> None:
    assert pd.read_parquet(out / "customers.parquet").notna().any().all()


def test_corrupting_everything_after_the_cutoff_changes_no_byte(out, tmp_path) -> None:
    lines = fakes.lines_with_leavers()
    after = lines["ordered_at"] >= CUTOFF
    lies = {"product_id": "p00", "unit_price": 999.0, "quantity": 50.0}
    corrupt = lines.assign(**{name: lines[name].where(~after, lie) for name, lie in lies.items()})
    other = run(tmp_path, corrupt)
    assert [(other / name).read_bytes() for name in FILES] == [(out / name).read_bytes() for name in FILES]


def test_who_brought_everything_back_is_shown_what_sells(tmp_path) -> None:
    one = fakes.lines_with_leavers().head(1).assign(customer_id="back", ordered_at=pd.Timestamp("2024-05-01"))
    back = one.assign(ordered_at=pd.Timestamp("2024-05-09"), quantity=-1.0, order_id="r")
    home = make_home(tmp_path, pd.concat([fakes.lines_with_leavers(), one.assign(quantity=1.0), back]))
    backtest(home, tmp_path / "out", cutoff=CUTOFF, horizon_days=28, only=("popular",))
    lists = pd.read_parquet(tmp_path / "out/recommendations.parquet").set_index("customer_id")["list"]
    assert set(lists["back"]) == {"for_you", "new_for_you"}
