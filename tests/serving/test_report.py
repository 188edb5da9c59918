"""The page of figures: whole, self-contained, and safe with whatever a shop calls its things."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from worlds.orders import make_home, order_lines, products

from features.kpi import KPIS
from features.window import parse_cutoff
from serving.marketing.report import called, report, shown

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


def test_it_holds_every_known_figure_with_its_definition(page):
    text = page.html()
    known = set(page.kpis[page.kpis["n"] > 0]["kpi"])
    assert {"customers", "retention_rate", "average_order_value"} <= known
    assert all(kpi.doc.split(",")[0] in text for kpi in KPIS if kpi.name in known and "'" not in kpi.doc)


def test_a_share_is_shown_as_one_in_every_grouping(page):
    rates = page.groups["region"].loc["retention_rate"].dropna()
    assert len(rates) and all(f"<td>{shown(rate, 'share')}</td>" in page.html() for rate in rates)


def test_without_champions_nothing_is_foretold_and_the_page_says_so(page):
    assert page.ahead.empty and "days ahead" not in page.html()
    assert any("churn foretells" in words for words in page.left_out)


def test_what_a_shop_calls_its_regions_is_text_and_never_code(page):
    assert SCRIPT not in page.html() and "&lt;script&gt;" in page.html()


def test_what_cannot_be_known_is_said(page):
    said = " ".join(page.left_out)
    assert "segments and personas" in said and "NPS" in said and "acquisition_cost" in said


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
    assert shown(value, unit) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ltv_to_cac", "LTV to CAC"), ("cross_sell_rate", "cross-sell rate"), ("ltv_365d", "LTV of 365 days")],
)
def test_a_figure_is_called_as_one_writes_it(name, expected):
    assert called(name) == expected
