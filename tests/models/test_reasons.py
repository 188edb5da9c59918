"""Reasons of churn: true to what moved the score, and sentences a person can act on."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from models.churn import Churn, ChurnConfig
from models.customers.customer_panel import COLUMNS as PANEL
from models.customers.reasons import COLUMNS, TEXTS, TOPICS, codes, sentence, sentences

CUTOFF = datetime(2024, 7, 1, tzinfo=UTC)
FEATURES = {"days_since_last_order": 74.0, "gap_mean_days": 30.2, "frequency": 4.0}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    lines = order_lines(simulate(n_customers=400, days=200, join_days=100))
    shop = make_shop(tmp_path_factory.mktemp("reasons"), lines)
    return shop, Churn.fit(shop, CUTOFF, ChurnConfig(n_trees=30, n_windows=3, min_leaf_rows=20))


def test_contributions_sum_to_the_score_but_for_a_constant(fitted):
    shop, model = fitted
    rows = model.lens.rows(shop.customer_features(CUTOFF))
    rest = model.chance.logit(rows) - model.chance.contributions(rows).sum(axis=1)
    assert np.ptp(rest) < 1e-6


def test_the_strongest_topics_are_told_with_their_direction():
    added = pd.DataFrame(
        {"days_since_last_order": [0.9, -0.4], "overdue_ratio": [0.3, 0.0], "age": [0.0, 0.0]}
    )
    added["revenue"] = [-0.5, 0.05]
    found = codes(added)
    assert found.iloc[0, :2].tolist() == ["silence:raises", "spend:lowers"]
    assert found.iloc[1, 0] == "silence:lowers"
    assert found.iloc[1, 1:].isna().all()


def test_the_leavers_hear_of_what_raises_and_the_stayers_of_what_lowers(fitted):
    shop, model = fitted
    risk = model.predict(shop, CUTOFF)[model.column]
    first = model.explain(shop, CUTOFF)[COLUMNS[0]]
    assert first[risk > risk.quantile(0.9)].str.endswith("raises").mean() > 0.9
    assert first[risk < risk.quantile(0.1)].str.endswith("lowers").mean() > 0.9


def test_a_sentence_says_the_figures_in_the_language_asked():
    assert sentence("silence:raises", FEATURES) == "no order for 74 days, usually every 30"
    assert sentence("silence:raises", FEATURES, "pt-BR") == "sem comprar há 74 dias; o usual é a cada 30"


def test_a_one_time_buyer_has_no_usual_gap():
    once = {"days_since_last_order": 12.0, "frequency": 0.0, "gap_mean_days": None}
    assert sentence("silence:raises", once) == "no order for 12 days since the first"


def test_one_day_is_a_day():
    assert (
        sentence("silence", FEATURES | {"days_since_last_order": 1.0})
        == "no order for 1 day, usually every 30"
    )


def test_a_figure_that_is_not_known_leaves_the_topic():
    assert sentence("satisfaction:raises", {"last_nps_score": None}) == "satisfaction"


def test_a_row_of_codes_becomes_reasons_with_their_effect():
    row = {"churn_reason_1": "silence:raises", "churn_reason_2": None}
    assert sentences(row, FEATURES) == [
        {"code": "silence", "effect": "raises", "text": "no order for 74 days, usually every 30"}
    ]


def test_every_language_has_every_topic_and_every_topic_its_columns():
    assert all(set(texts) == set(TEXTS["en"]) for texts in TEXTS.values())
    assert {name for name in TEXTS["en"] if "." not in name} == set(TOPICS)
    assert {column for columns in TOPICS.values() for column in columns} <= set(PANEL)
