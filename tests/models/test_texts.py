import pytest

from models.chance import horizon
from models.customers import reasons
from models.decisions import texts as decision_texts
from models.ranking import reason_texts
from models.texts import language, say
from models.trials import power
from serving.reports import texts

TABLE = {
    "en": {"due": "every {n} days", "due.one": "every day", "plain": "so it is"},
    "pt": {"due": "a cada {n} dias", "due.one": "todo dia", "plain": "assim é"},
}


@pytest.mark.parametrize(
    ("locale", "expected"), [("pt", "pt"), ("pt-BR", "pt"), ("pt_BR", "pt"), ("en-GB", "en"), ("xx", "en")]
)
def test_a_locale_is_read_by_its_language_and_an_unknown_one_is_english(locale: str, expected: str) -> None:
    assert language(TABLE, locale) == expected


def test_a_template_is_filled_in_its_language() -> None:
    assert say(TABLE, "due", locale="pt-BR", n=23, name="unused") == "a cada 23 dias"


def test_one_of_a_thing_has_its_own_template() -> None:
    assert say(TABLE, "due", n=1) == "every day"


def test_a_code_without_a_template_says_itself() -> None:
    assert say(TABLE, "no such code") == "no such code"


def test_none_of_a_thing_may_have_its_own_template() -> None:
    table = {"en": {"seen": "seen {n} times", "seen.none": "never seen", "plain": "{n} left"}}
    assert say(table, "seen", n=0) == "never seen"
    assert say(table, "seen", n=2) == "seen 2 times"
    assert say(table, "plain", n=0) == "0 left"


def test_numbers_are_written_as_the_language_writes_them() -> None:
    table = {name: {"money": "{x:,.2f} in {name}, {n} of {x}"} for name in ("en", "pt")}
    assert (
        say(table, "money", locale="pt", x=1234.5, name="v1.5", n=2000) == "1.234,50 in v1.5, 2000 of 1234,5"
    )
    assert (
        say(table, "money", locale="en", x=1234.5, name="v1.5", n=2000) == "1,234.50 in v1.5, 2000 of 1234.5"
    )


TABLES = (decision_texts, horizon, power, reasons, reason_texts, texts)


def test_every_table_speaks_the_same_languages() -> None:
    tables = {table.__name__: [*table.TEXTS] for table in TABLES}
    assert all(spoken == tables[texts.__name__] for spoken in tables.values()), tables


@pytest.mark.parametrize("table", TABLES)
def test_no_text_lacks_a_language(table) -> None:
    codes = [{*spoken} for spoken in table.TEXTS.values()]
    assert all(known == codes[0] for known in codes), set.union(*codes) - set.intersection(*codes)
