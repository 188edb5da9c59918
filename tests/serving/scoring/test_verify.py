"""What serves equals what it comes from; one changed byte of it is found and named."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import refreshing
from worlds.champions import registry_of
from worlds.orders import make_home

import recompra
from features.errors import ArtefactError
from features.ingest import ingest
from models.cross_sell import CrossSell, CrossSellConfig
from serving import score
from serving.scoring.columns import Columns
from serving.scoring.customer_scores import excerpt_of
from serving.scoring.verify import Comparison, _differing, verify
from serving.state import Pointer


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with models trained and everything scored; nobody knows what "till" bought."""
    source = refreshing.source()
    till = source["lines"].head(1).assign(customer_id="till", order_id="till", product_id=None)
    source["lines"] = pd.concat([source["lines"], till], ignore_index=True)
    home = make_home(tmp_path_factory.mktemp("shop"), **source)
    models = refreshing.train(home, {CrossSell: CrossSellConfig(horizon_days=28)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "Registry", registry_of(models, dict.fromkeys(models, "1")))
        score.score(home, refreshing.AS_OF)
    return home


@pytest.fixture
def home(scored: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "home"
    shutil.copytree(scored, copied, symlinks=True)
    return copied


def lists(home: Path) -> Path:
    return home / "lists" / Pointer.read(home).stamp


def change(file: Path, how: Callable[[Any], Any]) -> None:
    """Change an array in place: its size stays, so that no check of sizes sees it."""
    array = np.load(file)
    how(array)
    np.save(file, array)


def test_what_was_just_scored_is_what_it_comes_from(home: Path) -> None:
    found = verify(home)
    found.check()
    assert found.n_customers == 61
    assert found.n_pairs > 60


def test_numbers_may_differ_by_rounding_only_and_a_missing_column_differs_everywhere() -> None:
    nan, one = np.nan, 1.0
    served = pd.DataFrame({"n": [one, one, nan, one], "text": ["a", None, "a", "a"], "old": one})
    anew = pd.DataFrame({"n": [1.000001, 1.00001, nan, nan], "text": ["a", None, None, "b"], "new": one})
    differ = Counter(_differing("refresh: ", Columns.of(served), codes=range(4), frame=anew))
    assert differ == {"refresh: n": 2, "refresh: text": 2, "refresh: old": 4, "refresh: new": 4}


@pytest.mark.parametrize(("n", "end"), [(12, r"c11 \(1\)\. Hint"), (14, r"c11 \(3\) and 2 more\. Hint")])
def test_of_much_that_differs_the_most_is_named_and_the_rest_counted(n: int, end: str) -> None:
    differ = Counter({f"c{at:02d}": n - at for at in range(n)})
    with pytest.raises(ArtefactError, match=rf"by column: c00 \({n}\), .*{end}"):
        Comparison("s-1", 60, differ=differ).check()


def test_one_changed_feature_is_refused_by_name(home: Path) -> None:
    def how(array: Any) -> None:
        array[7, 2] += 1

    change(lists(home) / "features" / "numbers.npy", how)
    found = verify(home)
    assert found.differ == {"n_orders": 1, "refresh: n_orders": 1}
    with pytest.raises(ArtefactError, match=r"n_orders \(1\).*Hint: .*score"):
        found.check()


def test_the_command_ends_with_an_error_naming_what_differs(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(home))
    monkeypatch.setattr("sys.argv", ["recompra", "score", "--verify"])
    with pytest.raises(SystemExit) as ended:
        recompra.main()
    assert ended.value.code == 0
    assert "serves what it comes from: 61 customers" in capsys.readouterr().out

    def how(array: Any) -> None:
        array[:, 3] += 1

    change(lists(home) / "features" / "numbers.npy", how)
    with pytest.raises(SystemExit) as ended:
        recompra.main()
    assert ended.value.code == 2
    assert "n_order_days (61)" in capsys.readouterr().err


def test_one_changed_score_is_refused_by_name(home: Path) -> None:
    def how(array: Any) -> None:
        array[3, 0] = 0.5

    change(lists(home) / "scores" / "numbers.npy", how)
    assert verify(home).differ == {"churn_probability_28d": 1}


def test_a_changed_purchase_of_the_live_path_is_refused(home: Path) -> None:
    def how(array: Any) -> None:
        array[:4] -= 30

    change(lists(home) / "state" / "history" / "day.npy", how)
    assert any(name.startswith("pair: ") for name in verify(home).differ)


def test_an_older_order_ingested_since_is_refused(home: Path, tmp_path: Path) -> None:
    row = {"customer_id": "c03", "ordered_at": pd.Timestamp("2024-03-01 10:00"), "product_id": "p01"}
    late = tmp_path / "order_lines.parquet"
    pd.DataFrame([row | {"quantity": 1.0, "unit_price": 3.0}]).to_parquet(late)
    ingest(late, home)
    found = verify(home)
    assert found.differ["n_orders"] == 1
    assert found.differ["refresh: n_orders"] == 0


def test_a_scoring_that_keeps_nothing_of_products_is_refused_in_words(home: Path) -> None:
    next(home.glob("lists/*/excerpt/product_days.parquet")).unlink()
    with pytest.raises(ArtefactError, match=r"keeps no rows to refresh from.*score again"):
        excerpt_of(home, Pointer.read(home).stamp, as_of=refreshing.AS_OF)
