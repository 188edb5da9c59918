"""What decisions say, in each language."""

import re
from dataclasses import replace

import numpy as np
import pytest
from worlds.decisions import TERMS, case, goods

from features.settings import ContactPolicy, Economics
from models.decisions.case import Terms
from models.decisions.offer import choose
from models.decisions.texts import TEXTS, amount, called, reason_of
from models.decisions.words import explain
from models.policy.actions import DO_NOTHING, NAMES

REAL = Terms(horizon_days=28, currency="BRL")


@pytest.mark.parametrize("locale", TEXTS)
def test_every_rule_and_every_action_has_its_words(locale: str) -> None:
    rng = np.random.default_rng(0)
    rules = choose(case(rng, 50), goods(rng), terms=TERMS).arms.rules
    assert len(rules) > 12
    assert not [rule for rule in rules if reason_of(rule, TERMS, locale=locale) == rule]
    assert not [name for name in (*NAMES, DO_NOTHING) if called(name, locale).startswith("action_")]


def test_a_sentence_says_the_same_things_in_every_language() -> None:
    def words(text: str) -> set[str]:
        return set(re.findall(r"{(\w+)", text))

    for code, text in TEXTS["en"].items():
        assert all(words(texts[code]) == words(text) for texts in TEXTS.values()), code


def test_a_limit_is_told_as_the_shop_set_it() -> None:
    policy, economics = ContactPolicy(max_contacts_7d=1), Economics(max_contacts_28d=4)
    terms = replace(REAL, policy=policy, economics=economics, just_bought_days=1)
    assert "had 4 contacts in 28 days" in reason_of("frequency_cap", terms)
    assert "recebeu um contato em 7 dias" in reason_of("weekly_cap", terms, locale="pt-BR")
    assert reason_of("just_bought", terms, locale="pt") == "o cliente o comprou no último dia"


def test_money_is_written_as_the_language_writes_it() -> None:
    assert amount(1.5, REAL) == "+1.50 BRL"
    assert amount(-1.5, REAL, locale="pt-BR") == "-1,50 BRL"
    assert amount(1.5, replace(REAL, currency=""), locale="pt") == "+1,50"


def test_a_decision_is_explained_in_portuguese() -> None:
    rng = np.random.default_rng(3)
    asked, shelf = case(rng, 60), goods(rng)
    chosen, names = choose(asked, shelf, terms=TERMS), [f"p{code}" for code in range(asked.product.shape[1])]
    for row in range(60):
        here, there = (
            explain(chosen, asked, terms=TERMS, row=row, products=names, names=names, locale=locale)
            for locale in ("pt", "en")
        )
        told = [here["reason"], *(out["reason"] for out in here["ruled_out"] + here["ruled_out_actions"])]
        other = [there["reason"], *(out["reason"] for out in there["ruled_out"] + there["ruled_out_actions"])]
        assert not set(told) & set(other)
        assert not [text for text in told if re.search(r"\b(the|margin|within|customer|nothing)\b", text)]
        assert {
            **here,
            **{name: there[name] for name in ("reason", "ruled_out", "ruled_out_actions")},
        } == there
