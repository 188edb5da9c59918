"""The page of figures: whole, self-contained, and safe with whatever a shop calls its things."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from worlds.orders import make_home, order_lines, products

from features.errors import ArtefactError, NotFound
from features.kpi import ATTRIBUTES, KPIS
from features.window import parse_cutoff
from models.customers.personas import TRAITS
from models.customers.rfm_grid import GRID
from serving import reports
from serving.reports.ahead import AMOUNTS, Unknown, ahead
from serving.reports.report import TEMPLATE, report, shown
from serving.reports.texts import TEXTS, Words

CUTOFF = parse_cutoff("2024-06-01")
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    people = pd.DataFrame({"customer_id": [f"c{k:02d}" for k in range(40)], "region": [SCRIPT, "north"] * 20})
    return report(make_home(folder, order_lines(), products=products(), customers=people), CUTOFF)


class Tags(HTMLParser):
    """Collects open tags and those left open."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "use", "path", "image", "rect", "clippath"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


def test_it_is_whole_and_loads_nothing_from_elsewhere(page):
    tags = Tags()
    tags.feed(page.html())
    assert tags.open == []
    links = [value for _, attrs in tags.seen for name, value in attrs.items() if name in ("src", "href")]
    assert not [link for link in links if not link.startswith("#")]


def test_money_of_a_shop_that_names_no_currency_is_in_its_own(page, monkeypatch):
    monkeypatch.setattr(page.shop, "settings", page.shop.settings.model_copy(update={"currency": ""}))
    assert "Money is in the shop&#39;s currency, net" in page.html()


def test_it_holds_every_known_figure_with_its_definition(page):
    text = page.html()
    known = set(page.kpis[page.kpis["n"] > 0]["kpi"])
    assert {"customers", "retention_rate", "average_order_value"} <= known
    assert all(kpi.doc.split(",")[0] in text for kpi in KPIS if kpi.name in known and "'" not in kpi.doc)


def test_a_share_is_shown_as_one_in_every_grouping(page):
    rates = page.groups["region"].loc["retention_rate"].dropna()
    assert len(rates) and all(
        f"<td>{shown(rate, 'share', words=Words('en'))}</td>" in page.html() for rate in rates
    )


def test_without_champions_nothing_is_foretold_and_the_page_says_so(page):
    assert page.ahead.empty and "days ahead" not in page.html()
    assert any("forecast of churn" in words for words in page.missing())


def test_what_lies_ahead_is_the_sum_of_all_customers_and_of_each_segment_the_largest_first(page, monkeypatch):
    days = page.shop.settings.horizon_days
    leaving = pd.DataFrame({f"churn_probability_{days}d": [0.25, 0.5, 1.0]}, index=["a", "b", "c"])
    amounts = {"orders": [1.0, 2.0, 0.5], "revenue": [10.0, 30.0, 5.0], "margin": float("nan")}
    worth = pd.DataFrame(amounts, index=["c", "b", "a"]).add_prefix("expected_").add_suffix(f"_{days}d")

    class Told:
        def __init__(self, frame):
            self.frame = frame

        def notes(self, day):
            return [{"code": "season", "season_from": day}]

        def predict(self, shop, cutoff):
            return self.frame if cutoff == CUTOFF else self.frame[:0]

    def champions(home):
        return SimpleNamespace(scoring=lambda name: Told({"churn": leaving, "ltv": worth}[name]))

    monkeypatch.setattr("serving.reports.ahead.Registry", champions)
    groups, left_out = pd.Series(["old", "at risk", "old", "gone"], index=["c", "a", "b", "z"]), []
    found = ahead(Path(), page.shop, cutoff=CUTOFF, groups=groups, left_out=left_out)
    assert found.to_dict("split") == {
        "index": ["old", "at risk", "all"],
        "columns": ["customers", "come_back", "expected_orders", "expected_revenue"],
        "data": [[2.0, 0.5, 3.0, 40.0], [1.0, 0.75, 0.5, 5.0], [3.0, 1.25, 3.5, 45.0]],
    }
    assert [str(one.note["season_from"]) for one in left_out] == ["2024-06-01"] * 2


def test_what_a_shop_calls_its_regions_is_text_and_never_code(page):
    assert SCRIPT not in page.html() and "&lt;script&gt;" in page.html()


def test_what_cannot_be_known_is_said(page):
    said = " ".join(page.missing())
    assert "segments and personas" in said and "NPS" in said and "acquisition_cost" in said


def test_a_shop_of_guests_alone_has_a_page_without_figures(tmp_path):
    page = report(make_home(tmp_path, order_lines().assign(customer_id=None)), CUTOFF)
    assert page.trends.empty and page.drawn == []
    assert "NPS" in page.html()


def test_the_same_shop_gives_the_same_page(page):
    def without_ids(text):
        return re.sub(r'(id="|#|url\(#)[a-z0-9_]+', "", text)

    assert without_ids(page.html()) == without_ids(page.html())


def test_it_is_written_whole_or_not_at_all(page, tmp_path):
    page.write(tmp_path / "deep" / "report.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.1234, "share", "12.3%"),
        (1234.5, "currency", "1,234.50"),
        (6.0, "currency", "6.00"),
        (7.0, "customers", "7"),
        (float("nan"), "", "-"),
    ],
)
def test_figures_are_shown_as_one_reads_them(value, unit, expected):
    assert shown(value, unit, words=Words("en")) == expected


def test_every_language_has_every_text_with_the_same_places_to_fill():
    def places(text):
        return sorted(re.findall(r"{(\w+)}", text))

    english = TEXTS["en"]
    for words in TEXTS.values():
        assert words.keys() == english.keys()
        assert all(places(words[code]) == places(english[code]) for code in english)


def test_all_that_a_page_may_name_has_a_text():
    groups = {name for row in GRID for name in row}
    traits = {word for pair in TRAITS.values() for word in pair}
    wanted = {f"{what}.{kpi.name}" for kpi in KPIS for what in ("kpi", "doc")}
    wanted |= {f"segment.{name}" for name in groups} | {f"trait.{word}" for word in traits}
    wanted |= {f"by.{name}" for name in (*ATTRIBUTES, "segment")}
    wanted |= {f"ahead.{name}" for name in ("customers", "come_back", *AMOUNTS)}
    assert wanted <= TEXTS["en"].keys()
    template = Path(reports.__file__).with_name("pages") / TEMPLATE
    asked = set(re.findall(r't\("([\w.]+)"[,)]', template.read_text(encoding="utf-8")))
    assert asked and asked <= TEXTS["en"].keys()


def test_the_page_speaks_the_language_of_the_shops_reasons(page, monkeypatch):
    settings = page.shop.settings
    lists = settings.lists.model_copy(update={"locale": "pt-BR"})
    monkeypatch.setattr(page.shop, "settings", settings.model_copy(update={"lists": lists}))
    text = with_segments(page).html()
    assert '<html lang="pt">' in text and ">taxa de retenção<" in text and ">campeões<" in text
    english = [told for code, told in TEXTS["en"].items() if told != TEXTS["pt"][code]]
    assert [told for told in english if f">{html.escape(told)}<" in text] == []


@pytest.mark.parametrize("error", [NotFound("no one", "wait"), ArtefactError("of other features", "train")])
def test_why_a_model_tells_nothing_is_said_in_the_language_of_the_page(page, error):
    told = replace(page, left_out=[Unknown.by(name, error) for name in ("segments", "churn", "ltv")])
    for there, here in zip(told.missing("en"), told.missing("pt"), strict=True):
        assert "in service" in there and "em serviço" in here and "service" not in here
        assert ("of other features" in here) == isinstance(error, ArtefactError)


def with_segments(page):
    """Return the page with what only champions tell."""
    names = ["champions", "at risk"]
    columns = [
        "n_customers",
        "customer_share",
        "revenue_share",
        "days_since_last_order",
        "gap_mean_days",
        "n_order_days",
        "revenue",
        "revenue_per_order_day",
    ]
    table = pd.DataFrame(1.5, index=names, columns=columns).assign(favourites="Tea")
    expected = pd.DataFrame(7.0, index=[*names, "all"], columns=["customers", "come_back", *AMOUNTS])
    moved = pd.DataFrame(3, index=names, columns=names)
    people = table.rename(index={"champions": "quiet frequent customers"})
    segments = {"segment": table, "persona": people}
    return replace(page, segments=segments, movement=moved, ahead=expected)


def test_groups_are_named_in_their_language_and_a_shops_own_names_stay():
    named = Words("pt").named
    assert named("at risk") == "em risco" and named("all customers") == "todos os clientes"
    assert named("quiet big-basket customers") == "clientes sumidos e de cesta grande"
    assert named("Alto Minho") == "Alto Minho"
    assert Words("en").named("quiet big-basket customers") == "quiet big-basket customers"


def test_numbers_are_written_as_the_language_writes_them():
    assert shown(1234.5, "currency", words=Words("pt")) == "1.234,50"
    assert shown(0.1234, "share", words=Words("pt")) == "12,3%"


def test_what_is_told_of_a_horizon_without_a_window_is_told_with_a_note(page):
    note = {"code": "carried", "model": "ltv", "horizon_days": 180, "learnt_days": 90}
    note |= {"learnt_from": "2024-06-30"}
    told = replace(page, left_out=[Unknown(note["code"], note=note)])
    assert "extrapolated to 180 by BG/NBD" in told.html()
    assert "não calibrado" in told.caveats("pt")[0]


def test_a_caveat_on_figures_that_are_shown_is_not_told_as_unknown_and_only_once(page):
    note = {"code": "season", "horizon_days": 28, "season_from": "2025-06-30"}
    notes = [Unknown("season", note=note | {"model": name}) for name in ("churn", "ltv")]
    told = replace(page, left_out=[*notes, Unknown("nps")])
    assert [words.split(":")[0] for words in told.caveats()] == ["churn, ltv"]
    assert told.missing() == ["NPS (no answers to a survey in the period)"]
    assert told.html().index("To bear in mind") < told.html().index("What is not known")
