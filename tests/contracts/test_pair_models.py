"""What every model of customers with products keeps to: its answers are judged by rows that it hands over."""

from pathlib import Path
from typing import Any

import pytest
from worlds.orders import make_shop, order_lines, products

from features.shop import Shop
from features.window import parse_cutoff
from models.kinds import PairModel
from models.registry import MODELS, model_class
from training.evaluate import evaluate
from training.measures.holdout import Holdout

CUTOFF = parse_cutoff("2024-06-20")
NAMES = [name for name in MODELS if issubclass(model_class(name), PairModel)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), order_lines(80), products=products())


@pytest.fixture(scope="module", params=NAMES)
def fitted(request: pytest.FixtureRequest, shop: Shop) -> Any:
    kind = model_class(request.param)
    return kind.fit(shop, CUTOFF, config=kind.Config())


def figures(model: Any, shop: Shop) -> dict[str, dict[str, float]]:
    samples = evaluate(model, Holdout(shop, CUTOFF), predictions=None).samples
    return {method: {key: sample.value for key, sample in of.items()} for method, of in samples.items()}


def test_saved_and_loaded_it_is_measured_the_same(fitted: Any, shop: Shop, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*")} <= {".json", ".npy"}
    assert figures(type(fitted).load(tmp_path), shop) == figures(fitted, shop)


def test_the_same_seed_gives_the_same_figures(fitted: Any, shop: Shop) -> None:
    again = type(fitted).fit(shop, CUTOFF, config=fitted.config)
    assert figures(again, shop) == figures(fitted, shop)


def test_every_baseline_and_headline_is_measured(fitted: Any, shop: Shop) -> None:
    found = figures(fitted, shop)
    assert set(found) == {fitted.name, *fitted.must_beat}
    assert set(fitted.headline) <= set(found[fitted.name])
