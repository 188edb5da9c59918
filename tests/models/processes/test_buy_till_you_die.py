from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import beta
from threadpoolctl import threadpool_limits
from worlds.bgnbd import World, simulate, summarise

from features.errors import CannotLearn
from models.processes.buy_till_you_die import BetaGeoNBD, _loss
from models.processes.gamma_gamma import GammaGamma, _gamma_gamma_loss

X = np.array([0.0, 0.0, 1.0, 2.0, 5.0, 50.0, 300.0])
RECENCY = np.array([0.0, 0.0, 50.0, 90.0, 290.0, 200.0, 299.0])
T = np.array([1.0, 100.0, 100.0, 100.0, 300.0, 300.0, 300.0])


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return summarise(simulate(n_customers=20_000), cutoff_day=275)


@pytest.fixture(scope="module")
def model(customers: pd.DataFrame) -> BetaGeoNBD:
    return BetaGeoNBD.fit(customers["frequency"], customers["recency"], customers["T"])


def test_many_customers_give_the_same_rhythm_on_any_number_of_cores() -> None:
    rng = np.random.default_rng(0)
    T = rng.uniform(10, 400, 60_000).round(2)
    x = rng.poisson(rng.gamma(0.6, 4, len(T)))
    recency = np.where(x > 0, T * rng.random(len(T)), 0).round(2)
    with threadpool_limits(1):
        one = BetaGeoNBD.fit(x, recency, T)
    with threadpool_limits(2):
        assert BetaGeoNBD.fit(x, recency, T) == one


def test_the_parameters_of_a_known_world_are_recovered(model: BetaGeoNBD) -> None:
    assert [model.r, model.alpha, model.a, model.b] == pytest.approx([0.6, 25.0, 0.8, 3.0], rel=0.1)


def test_the_orders_of_a_known_world_are_foretold_within_three_percent(
    model: BetaGeoNBD, customers: pd.DataFrame
) -> None:
    made = simulate(n_customers=20_000).query("day >= 275 and customer in @customers.index")
    foretold = model.expected_orders(customers["frequency"], customers["recency"], customers["T"], 90)
    assert foretold.sum() == pytest.approx(len(made), rel=0.03)


def test_where_all_buy_at_one_rate_and_nobody_leaves_that_rate_is_foretold() -> None:
    days = np.arange(30.0)
    x, t_x, T = np.full(30, 14.0), 420 + 0 * days, 421 + days  # a subscription: every thirty days
    foretold = BetaGeoNBD.fit(x, t_x, T).expected_orders(x, t_x, T, 60)
    assert foretold.mean() == pytest.approx(60 * 14 / T.mean(), rel=0.02)


def test_the_chance_of_a_purchase_is_the_share_who_purchase(
    model: BetaGeoNBD, customers: pd.DataFrame
) -> None:
    made = simulate(n_customers=20_000).query("day >= 275 and customer in @customers.index")
    chance = model.purchase_probability(customers["frequency"], customers["recency"], customers["T"], 90)
    assert chance.sum() == pytest.approx(made["customer"].nunique(), rel=0.03)


def test_fitting_distinct_rows_with_counts_equals_fitting_every_row(customers: pd.DataFrame) -> None:
    few = customers.head(500)
    once = BetaGeoNBD.fit(few["frequency"], few["recency"], few["T"])
    twice = BetaGeoNBD.fit(*(np.tile(few[name], 2) for name in ("frequency", "recency", "T")))
    assert once.alpha == pytest.approx(twice.alpha, rel=1e-3)


@pytest.mark.parametrize("first_tosses", [0, 1])
def test_gradients_are_those_of_finite_differences(first_tosses: int) -> None:
    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        return _loss(logs, X, RECENCY, T, np.full(7, 1 / 7), first_tosses=first_tosses)

    logs = np.array([-0.5, 1.0, -0.2, 0.9])
    assert check_grad(lambda p: loss(p)[0], lambda p: loss(p)[1], logs) < 1e-5


def test_gradients_of_spend_are_those_of_finite_differences() -> None:
    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        return _gamma_gamma_loss(logs, np.array([1.0, 3.0, 9.0]), np.array([0.5, 1.0, 2.0]))

    assert check_grad(lambda p: loss(p)[0], lambda p: loss(p)[1], np.array([1.0, 0.5, 0.2])) < 1e-5


def _by_quadrature(model: BetaGeoNBD, horizon: float) -> np.ndarray:
    """E[orders] as an integral over the chance to leave, given that the customer is still there."""

    def given_leaving(u: float, x: float, age: float) -> float:
        leaves = max(beta.ppf(u, model.a, model.b + x + model.first_tosses), 1e-300)
        return float(-np.expm1(-(model.r + x) * np.log1p(leaves * horizon / (model.alpha + age))) / leaves)

    there = [quad(given_leaving, 0, 1, args=row, limit=400)[0] for row in zip(X, T, strict=True)]
    return np.array(there) * model._alive(X, RECENCY, T)


@pytest.mark.parametrize(
    "model",
    [
        BetaGeoNBD(0.24, 31.0, 0.79, 2.43),
        BetaGeoNBD(0.5, 30.0, 1.0, 2.0),  # equation 10 is 0/0
        BetaGeoNBD(0.5, 30.0, 0.3, 0.7),  # 0 times a pole for one-time buyers
        BetaGeoNBD(3.0, 5.0, 50.0, 50.0),
        BetaGeoNBD(0.1, 100.0, 0.02, 90.0),
        BetaGeoNBD(0.5, 30.0, 0.9, 1.6, first_tosses=1),
    ],
)
def test_expected_orders_hold_wherever_the_parameters_lie(model: BetaGeoNBD) -> None:
    np.testing.assert_allclose(model.expected_orders(X, RECENCY, T, 90), _by_quadrature(model, 90), rtol=1e-4)


def test_orders_that_come_back_are_foretold_as_placed(model: BetaGeoNBD) -> None:
    placed = replace(model, placed=1.5)
    rows = (X, RECENCY, T)
    np.testing.assert_allclose(placed.expected_orders(*rows, 60), 1.5 * model.expected_orders(*rows, 60))
    np.testing.assert_array_equal(
        placed.purchase_probability(*rows, 60), model.purchase_probability(*rows, 90)
    )


def test_more_horizon_never_means_fewer_orders(model: BetaGeoNBD) -> None:
    orders = [model.expected_orders(X, RECENCY, T, days) for days in (1, 30, 90, 365)]
    assert (np.diff(orders, axis=0) >= 0).all()


def test_spend_of_a_known_world_is_recovered_and_shrunk(customers: pd.DataFrame) -> None:
    world, model = World(), GammaGamma.fit(customers["frequency"], customers["monetary_value"])
    mean = world.p * world.v / (world.q - 1)
    assert model.expected_value(0, np.nan)[0] == pytest.approx(mean, rel=0.03)
    assert mean < model.expected_value(1, 10 * mean)[0] < model.expected_value(9, 10 * mean)[0] < 10 * mean


def test_a_shop_where_nobody_came_back_cannot_teach_it() -> None:
    with pytest.raises(CannotLearn, match="two days or more"):
        BetaGeoNBD.fit([0, 0], [0, 0], [10, 20])
    with pytest.raises(CannotLearn, match="spend above 0"):
        GammaGamma.fit([0, 3], [5.0, np.nan])
