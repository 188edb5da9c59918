import numpy as np
import pytest
from scipy.integrate import quad
from worlds.bgnbd import simulate, summarise

from models.processes.pareto_nbd import ParetoNBD

X = np.array([0.0, 0.0, 1.0, 2.0, 5.0, 50.0, 300.0])
RECENCY = np.array([0.0, 0.0, 50.0, 90.0, 290.0, 200.0, 299.0])
T = np.array([1.0, 100.0, 100.0, 100.0, 300.0, 300.0, 300.0])
MODELS = [ParetoNBD(0.55, 10.6, 0.6, 11.7), ParetoNBD(0.55, 30.0, 1.0, 12.0), ParetoNBD(3.0, 5.0, 0.3, 90.0)]


def _by_quadrature(model: ParetoNBD, horizon: float) -> np.ndarray:
    """Integrate the rate of purchases over the horizon."""

    def rate(u: float, x: float, age: float) -> float:
        shape, at, gone = model.r + x, model.alpha + age, model.beta + age
        return float(shape / at * (gone / (gone + u)) ** model.s)

    there = [quad(rate, 0, horizon, args=row, limit=400)[0] for row in zip(X, T, strict=True)]
    return np.array(there) * model._alive(X, RECENCY, T)


@pytest.mark.parametrize("model", MODELS)
def test_expected_orders_hold_wherever_the_parameters_lie(model: ParetoNBD) -> None:
    np.testing.assert_allclose(model.expected_orders(X, RECENCY, T, 90), _by_quadrature(model, 90), rtol=1e-5)


def test_heavy_buyers_have_a_likelihood_and_a_chance_to_be_there() -> None:
    model = ParetoNBD(0.55, 10.6, 0.6, 300.0)
    assert np.isfinite(model.log_likelihood(X, RECENCY, T)).all()
    assert ((model._alive(X, RECENCY, T) > 0) & (model._alive(X, RECENCY, T) < 1)).all()


def test_more_horizon_never_means_fewer_orders() -> None:
    orders = [MODELS[0].expected_orders(X, RECENCY, T, days) for days in (1, 30, 90, 365)]
    assert (np.diff(orders, axis=0) >= 0).all()


def test_the_orders_of_a_world_of_another_law_are_foretold_within_a_fifth() -> None:
    purchases = simulate(n_customers=4000)
    known = summarise(purchases, cutoff_day=275)
    made = purchases.query("day >= 275 and customer in @known.index")
    columns = known["frequency"], known["recency"], known["T"]
    assert ParetoNBD.fit(*columns).expected_orders(*columns, 90).sum() == pytest.approx(len(made), rel=0.2)


def test_where_all_leave_at_one_rate_the_search_ends_as_well() -> None:
    seen = summarise(simulate(n_customers=400, days=335, join_days=240, seed=1), cutoff_day=274)
    model = ParetoNBD.fit(seen["frequency"], seen["recency"], seen["T"])
    found = model.log_likelihood(seen["frequency"], seen["recency"], seen["T"])
    others = [ParetoNBD(model.r * 1.01, model.alpha, model.s, model.beta), ParetoNBD(1.0, 60.0, 1.0, 60.0)]
    rest = [other.log_likelihood(seen["frequency"], seen["recency"], seen["T"]).mean() for other in others]
    assert found.mean() > max(rest)
