"""Golden numbers: CDNOW 1/10 sample (2,357 customers, 39 weeks of calibration, 39 of holdout; in weeks).

BG/NBD: Fader, Hardie and Lee (2005), table 2 (r .243, alpha 4.414, a .793, b 2.426, log-likelihood -9,582.4),
and the total of equation 10 over the sample, 1,653 repeat purchases (lifetimes: 1,653.4; 1,882 were made).
MBG/NBD: the parameters that ``lifetimes``' own test finds (r .525, alpha 6.183, a .891, b 1.614).
Pareto/NBD: Fader, Hardie and Lee (2005), table 2 (r .553, alpha 10.578, s .606, beta 11.669, -9,595.0).
Gamma-Gamma: Fader and Hardie (2013), note 025 (p 6.25, q 3.74, gamma 15.44, on 946 repeat buyers).
The files are those that the package ``lifetimes`` ships; the package itself is the oracle.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.processes.buy_till_you_die import BetaGeoNBD
from models.processes.gamma_gamma import GammaGamma
from models.processes.pareto_nbd import ParetoNBD

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lifetimes is of 2020: its imports warn about names that numpy renamed
    import lifetimes

DATA = Path(lifetimes.__file__).with_name("datasets")  # its own loaders ask for pkg_resources, long gone
SUMMARY, WITH_MONEY = "cdnow_customers_summary.csv", "cdnow_customers_summary_with_transactions.csv"
RHYTHM = ["customer_id", "frequency", "recency", "T"]
COLUMNS = {SUMMARY: RHYTHM, WITH_MONEY: [*RHYTHM, "monetary_value"]}


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name).set_axis(COLUMNS[name], axis=1)


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return read(SUMMARY)


@pytest.fixture(scope="module")
def model(sample: pd.DataFrame) -> BetaGeoNBD:
    return BetaGeoNBD.fit(sample["frequency"], sample["recency"], sample["T"])


def test_bgnbd_finds_the_parameters_of_the_paper(model: BetaGeoNBD) -> None:
    found = [model.r, model.alpha, model.a, model.b]
    assert found == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=5e-4)


def test_log_likelihood_is_that_of_the_paper(model: BetaGeoNBD, sample: pd.DataFrame) -> None:
    total = model.log_likelihood(sample["frequency"], sample["recency"], sample["T"]).sum()
    assert total == pytest.approx(-9582.4, abs=0.05)


def test_expected_repeat_purchases_in_the_holdout_are_1653(model: BetaGeoNBD, sample: pd.DataFrame) -> None:
    total = model.expected_orders(sample["frequency"], sample["recency"], sample["T"], 39).sum()
    assert total == pytest.approx(1653.4, abs=0.1)


def test_each_expectation_equals_that_of_lifetimes(sample: pd.DataFrame) -> None:
    columns = sample["frequency"], sample["recency"], sample["T"]
    oracle = lifetimes.BetaGeoFitter().fit(*columns)
    ours = BetaGeoNBD(*(float(oracle.params_[name]) for name in ("r", "alpha", "a", "b")))
    theirs = oracle.conditional_expected_number_of_purchases_up_to_time(39, *columns)
    np.testing.assert_allclose(ours.expected_orders(*columns, 39), theirs, rtol=1e-9)


def test_mbgnbd_finds_the_parameters_of_lifetimes(sample: pd.DataFrame) -> None:
    model = BetaGeoNBD.fit(sample["frequency"], sample["recency"], sample["T"], first_tosses=1)
    assert [model.r, model.alpha, model.a, model.b] == pytest.approx([0.525, 6.183, 0.891, 1.614], abs=5e-4)


def test_each_expectation_of_mbgnbd_equals_that_of_lifetimes(sample: pd.DataFrame) -> None:
    columns = sample["frequency"], sample["recency"], sample["T"]
    oracle = lifetimes.ModifiedBetaGeoFitter().fit(*columns)
    params = (float(oracle.params_[name]) for name in ("r", "alpha", "a", "b"))
    theirs = oracle.conditional_expected_number_of_purchases_up_to_time(39, *columns)
    ours = BetaGeoNBD(*params, first_tosses=1).expected_orders(*columns, 39)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_pareto_nbd_finds_the_parameters_of_the_paper(sample: pd.DataFrame) -> None:
    columns = sample["frequency"], sample["recency"], sample["T"]
    model = ParetoNBD.fit(*columns)
    assert [model.r, model.alpha, model.s, model.beta] == pytest.approx(
        [0.553, 10.578, 0.606, 11.669], abs=2e-3
    )
    assert model.log_likelihood(*columns).sum() == pytest.approx(-9595.0, abs=0.05)


def test_each_expectation_of_pareto_nbd_equals_that_of_lifetimes(sample: pd.DataFrame) -> None:
    columns, params = (sample["frequency"], sample["recency"], sample["T"]), (0.553, 10.578, 0.606, 11.669)
    oracle = lifetimes.ParetoNBDFitter()
    oracle.params_ = pd.Series(params, index=["r", "alpha", "s", "beta"])
    theirs = oracle.conditional_expected_number_of_purchases_up_to_time(39, *columns)
    np.testing.assert_allclose(ParetoNBD(*params).expected_orders(*columns, 39), theirs, rtol=1e-9)


def test_gamma_gamma_finds_the_parameters_of_the_note() -> None:
    sample = read(WITH_MONEY)
    model = GammaGamma.fit(sample["frequency"], sample["monetary_value"])
    assert [model.p, model.q, model.v] == pytest.approx([6.25, 3.74, 15.44], abs=0.01)


def test_each_expected_spend_equals_that_of_lifetimes() -> None:
    sample = read(WITH_MONEY)
    columns = sample["frequency"], sample["monetary_value"]
    oracle = lifetimes.GammaGammaFitter().fit(*(column[sample["frequency"] > 0] for column in columns))
    ours = GammaGamma(*(float(oracle.params_[name]) for name in ("p", "q", "v")))
    theirs = oracle.conditional_expected_average_profit(*columns)
    np.testing.assert_allclose(ours.expected_value(*columns), theirs, rtol=1e-9)
