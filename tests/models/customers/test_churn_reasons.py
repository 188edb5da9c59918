"""The sentences of why a customer may leave: right in number, in every language."""

import re
from typing import Any

import pandas as pd
import pytest

from features.customer import CUSTOMER_FEATURES
from models.customers.inputs import COLUMNS
from models.customers.reasons import TEXTS, TOPICS, codes, sentence

PLURAL = r"(days|times|units|dias|vezes|unidades|different|produtos)\b"
REGULAR: dict[str, Any] = dict.fromkeys(CUSTOMER_FEATURES.names, 3.0)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("locale", TEXTS)
@pytest.mark.parametrize("count", [0.0, 1.0, 2.0])
def test_nothing_is_counted_in_the_wrong_number(topic: str, locale: str, count: float) -> None:
    gap = max(count, 1.0)  # between two days there is one at least
    for frequency in (0.0, 3.0):
        known = dict.fromkeys(REGULAR, count) | {"frequency": frequency, "gap_mean_days": gap}
        said = sentence(topic, known, locale=locale)
        assert said != topic
        assert not re.search(rf"(?<![.,\d])1 {PLURAL}", said), said
        assert not re.search(rf"(?<![.,\d])0 {PLURAL}(?! with| com)", said), said


def test_every_column_is_told_of_by_one_topic_but_for_what_nobody_can_act_on() -> None:
    told = [name for columns in TOPICS.values() for name in columns]
    silent = {"weekend_share", "hour_mean"}
    assert len(told) == len({*told})
    assert {*COLUMNS} - {*told} == silent, (
        "put a new feature into a topic, or here: of neither, reasons say nothing"
    )


def test_every_language_has_the_same_sentences() -> None:
    assert all(texts.keys() == TEXTS["en"].keys() for texts in TEXTS.values())


def test_a_silence_is_told_beside_the_usual_gap() -> None:
    told = REGULAR | {"days_since_last_order": 74.0, "gap_mean_days": 30.2}
    assert sentence("silence:raises", told) == "no order for 74 days, usually every 30"
    assert sentence("silence:raises", told, locale="pt-BR") == "sem comprar há 74 dias; o usual é a cada 30"


@pytest.mark.parametrize(("effect", "days"), [("raises", 0.0), ("raises", 2.0), ("lowers", 31.0)])
def test_a_silence_that_speaks_against_its_effect_is_told_by_the_usual_gap(effect: str, days: float) -> None:
    told = REGULAR | {"days_since_last_order": days, "gap_mean_days": 21.4}
    assert sentence(f"silence:{effect}", told) == "usually an order every 21 days"
    assert sentence(f"silence:{effect}", told, locale="pt") == "o usual é comprar a cada 21 dias"


def test_who_orders_every_day_is_told_so() -> None:
    told = REGULAR | {"days_since_last_order": 0.0, "gap_mean_days": 1.2}
    assert sentence("silence:raises", told) == "usually an order every day"
    assert sentence("silence:raises", told, locale="pt") == "o usual é comprar todo dia"


def test_no_order_of_late_is_said_in_words() -> None:
    assert sentence("lately:raises", REGULAR | {"n_order_days_91d": 0.0}) == "no order in the last 91 days"


def test_the_topics_that_moved_a_score_most_are_told_and_which_way() -> None:
    added = {
        "days_since_last_order": [0.3, -0.05],
        "overdue_ratio": [0.2, 0.0],
        "frequency": [-0.4, 0.02],
        "discount_share": [0.15, -0.11],
        "n_contacts": [-0.12, 0.09],
        "weekend_share": [5.0, 5.0],  # nobody can act on it
    }
    told = codes(pd.DataFrame(added, index=["ann", "bob"]))
    assert told.loc["ann"].tolist() == ["silence:raises", "habit:lowers", "discount:raises"]
    assert told.loc["bob"].dropna().tolist() == ["discount:lowers"]
