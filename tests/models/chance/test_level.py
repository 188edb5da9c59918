from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.chance.purchase_chance import CHANCE, PurchaseChance
from models.customers.calibration import Miss, common, expected_miss, seasonal_share


@pytest.mark.parametrize(("structure", "moved"), [(1.0, 0.0), (0.5, 0.5), (0.25, 0.75), (0.0, 1.0)])
def test_the_level_is_what_bgnbd_foresees_moved_by_a_part_of_what_it_missed(
    structure: float, moved: float
) -> None:
    raw: Any = SimpleNamespace(logit=lambda rows: np.linspace(-2, 1, len(rows)))
    newest: Any = SimpleNamespace(
        bought=np.repeat([1, 0], [1500, 3500]), rows=pd.DataFrame({CHANCE: np.full(5000, 0.2)})
    )
    today = pd.DataFrame({CHANCE: np.full(50, 0.1)})
    shift = PurchaseChance.level(raw, [newest], today, structure=structure)
    expected = expit(logit(0.1) + moved * (logit(0.3) - logit(0.2)))
    assert expit(raw.logit(today) + shift).mean() == pytest.approx(expected, rel=1e-3)


def window(foreseen: float, seen: float, n: int = 5000) -> Any:
    """Return a closed window of customers of one chance."""
    n_bought = round(seen * n)
    return SimpleNamespace(
        bought=np.repeat([1, 0], [n_bought, n - n_bought]), rows=pd.DataFrame({CHANCE: np.full(n, foreseen)})
    )


@pytest.mark.parametrize("structure", [1.0, 0.5])
def test_what_every_window_missed_is_taken_in_full_and_the_rest_of_the_newest_in_part(
    structure: float,
) -> None:
    raw: Any = SimpleNamespace(logit=lambda rows: np.linspace(-2, 1, len(rows)))
    today = pd.DataFrame({CHANCE: np.full(50, 0.3)})
    least, newest = (logit(seen) - logit(0.4) for seen in (0.3, 0.2))
    windows = [window(0.4, 0.2), *[window(0.4, 0.25)] * 4, window(0.4, 0.3)]
    shift = PurchaseChance.level(raw, windows, today, structure=structure)
    expected = expit(logit(0.3) + least + (1 - structure) * (newest - least))
    assert expit(raw.logit(today) + shift).mean() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ([0.3, 0.2, 0.4, 0.3, 0.2, 0.5], 0.2),
        ([-0.3, -0.2, -0.4, -np.inf, -0.2, -0.5, -0.6], -0.2),
        ([0.3, 0.2, 0.4, 0.3, -0.01, 0.5], 0.0),
        ([0.3, 0.2, 0.4, 0.3, 0.2], 0.0),  # too few windows
        ([0.3, 0.2, 0.4, 0.3, 0.2, np.nan], 0.0),
    ],
)
def test_what_windows_missed_alike_is_the_least_of_it(missed: list[float], expected: float) -> None:
    assert common(np.array(missed)) == expected


NOISE = 0.05**2
PAST = [Miss(size, 0.0) for size in (0.5, 0.4, 0.3, 0.2, 0.1, 0.4)]


@pytest.mark.parametrize(
    ("last_year", "expected"),
    [
        (None, 0.1 + 0.5 * 0.4),
        (Miss(0.9, -NOISE), 0.9),  # beyond all doubt: the newest window is not asked
        (Miss(0.9, 0.08 - NOISE), 0.1 + 0.5 * 0.8 + 0.5 * 0.5 * 0.4),  # half of it may be chance
        (Miss(0.9, 0.2), 0.1 + 0.5 * 0.4),  # within twice its noise
        (Miss(-0.7, 0.08 - NOISE), 0.1 - 0.5 * 0.8 + 0.5 * 0.5 * 0.4),
        (Miss(-np.inf, np.inf), 0.1 + 0.5 * 0.4),
        (Miss(np.nan, 0.0), 0.1 + 0.5 * 0.4),
    ],
)
def test_last_years_weeks_take_the_place_of_the_newest_window_as_far_as_they_are_no_chance(
    last_year: Miss | None, expected: float
) -> None:
    assert expected_miss(PAST, 0.5, last_year=last_year) == pytest.approx(expected)


def test_a_season_is_no_answer_where_nothing_was_sold_in_any_window() -> None:
    nothing = [Miss(-np.inf, np.inf)] * 6
    assert seasonal_share(Miss(0.9, 0.0), -np.inf) == 0
    assert expected_miss(nothing, 0.0, last_year=Miss(0.9, 0.0)) == -np.inf


def test_as_many_customers_tell_a_large_season_and_no_small_one() -> None:
    rng = np.random.default_rng(0)
    large, small = (Miss.of_share(0.2, (rng.random(900) < share).astype(float)) for share in (0.4, 0.21))
    assert seasonal_share(large, 0.0) > 0.9
    assert seasonal_share(small, 0.0) == 0


def test_the_noise_of_a_total_is_that_of_its_bootstrap() -> None:
    rng = np.random.default_rng(1)
    seen = np.exp(rng.normal(2, 1.5, 2000)) * (rng.random(2000) < 0.3)
    drawn = [np.log(rng.choice(seen, len(seen)).sum()) for _ in range(500)]
    assert Miss.of_total(5000.0, seen).variance == pytest.approx(np.var(drawn), rel=0.2)


@pytest.mark.parametrize("last_year", [0.4, 0.1])
def test_the_season_moves_the_mean_chance_in_full_whatever_the_customers(last_year: float) -> None:
    raw: Any = SimpleNamespace(logit=lambda rows: np.linspace(-6, 4, len(rows)))
    today, windows = pd.DataFrame({CHANCE: np.full(50, 0.3)}), [window(0.2, 0.2)]
    shift = PurchaseChance.level(
        raw, windows, today, structure=0.5, last_year=window(0.2, last_year, n=10**6)
    )
    apart = logit(last_year) - logit(0.2)
    expected = expit(logit(0.3) + apart - 4 * NOISE / apart)  # a shop's two years differ, without a season
    assert expit(raw.logit(today) + shift).mean() == pytest.approx(expected, rel=1e-3)


def test_between_weeks_whose_level_is_known_the_level_is_between_theirs() -> None:
    nothing: Any = None
    made = PurchaseChance(nothing, nothing, 1.0, later=((14.0, 3.0), (28.0, 2.0)))
    assert [made.after(days).shift for days in (0, 7, 14, 21, 28, 99)] == [1.0, 2.0, 3.0, 2.5, 2.0, 2.0]
    assert PurchaseChance(nothing, nothing, 1.0).after(14).shift == 1.0
