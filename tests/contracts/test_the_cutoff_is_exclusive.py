"""What happens at the very moment of a cutoff is not known at it, and is the first thing of its horizon."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import contacts, make_shop, order_lines, products

from features import excerpt, labels
from features.activity import activity
from features.customer import CUSTOMER_FEATURES
from features.shop import Shop
from features.window import parse_cutoff
from models.decisions.reading import read_people, read_standing
from models.decisions.roles import ProductFacts

CUTOFF, BEFORE = parse_cutoff("2024-06-01"), parse_cutoff("2024-05-04")
MOMENT = pd.Timestamp("2024-06-01")
HORIZON = 28


def line(customer: str, product: str, moment: pd.Timestamp, quantity: float = 1.0) -> dict[str, object]:
    named = {"customer_id": customer, "product_id": product, "order_id": f"{customer}-{moment:%m%d}"}
    return named | {"ordered_at": moment, "quantity": quantity, "unit_price": 2.0, "discount": 0.0}


def shop_of(folder: Path, extra: list[dict[str, object]], at: list[pd.Timestamp]) -> Shop:
    """Return a shop with ``extra`` lines; at each of ``at`` c00 is contacted, asked, delivered to."""
    lines, first = order_lines(), pd.Timestamp("2024-02-01 09:00")
    mine = lines[(lines["customer_id"] == "c00") & (lines["quantity"] > 0) & (lines["ordered_at"] < MOMENT)]
    rare = [line("c02", "rare", first), line("c03", "rare", pd.Timestamp("2024-05-20"))]
    rare += [line("c02", "rare", pd.Timestamp("2024-03-01"), -1.0)]
    goods = products().assign(launched_on=[MOMENT] + [pd.NaT] * 11)
    contact = {"customer_id": "c00", "channel": "email", "action": "win_back", "treated": True}
    return make_shop(
        folder,
        pd.concat([lines, pd.DataFrame(rare + extra)], ignore_index=True),
        products=pd.concat([goods, goods.head(1).assign(product_id="unsold")]),
        contacts=pd.concat([contacts(lines), pd.DataFrame([contact | {"sent_at": moment} for moment in at])]),
        surveys=pd.DataFrame(
            {"customer_id": "c00", "answered_at": [first, *at], "score": [3] + [9] * len(at)}
        ),
        deliveries=pd.DataFrame(
            {
                "order_id": [mine["order_id"].iloc[-1], "c03-0520"],
                "delivered_at": [*(at or [pd.NaT]), pd.Timestamp("2024-05-22")],
                "status": ["delivered", "return_requested"],
            }
        ),
        customers=pd.DataFrame({"customer_id": ["c00"], "email_consent": [True]}),
    )


def lines_at_the_cutoff() -> list[dict[str, object]]:
    """Return what is bought and brought back then, by customers known before and by a stranger."""
    lines = order_lines()
    before = lines[(lines["quantity"] > 0) & (lines["ordered_at"] < MOMENT)]
    times = before.groupby(["customer_id", "product_id"]).size().unstack(fill_value=0).stack()
    who, never_bought = times.index[times == 0][0]
    bought = [("stranger", "novelty"), ("stranger", "rare"), ("c02", "rare"), (who, never_bought)]
    new = [line(customer, product, MOMENT, 100.0) | {"unit_price": 50.0} for customer, product in bought]
    return [*new, line("c03", "rare", MOMENT, -1.0)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return shop_of(tmp_path_factory.mktemp("plain"), [], [])


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return shop_of(tmp_path_factory.mktemp("edge"), lines_at_the_cutoff(), [MOMENT])


@pytest.mark.parametrize("features", [CUSTOMER_FEATURES, activity(28)], ids=lambda each: each.name)
def test_no_feature_knows_of_it(plain: Shop, edge: Shop, features) -> None:
    found, expected = (features.compute(shop.con, CUTOFF, timezone="UTC") for shop in (edge, plain))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_no_array_knows_of_it(plain: Shop, edge: Shop) -> None:
    assert edge.customers_seen(CUTOFF).tolist() == plain.customers_seen(CUTOFF).tolist()
    assert edge.n_days_placed(CUTOFF) == plain.n_days_placed(CUTOFF)
    for what in ("history", "catalogue", "brought_back"):
        found, expected = (getattr(shop, what)(CUTOFF) for shop in (edge, plain))
        for field in fields(found):
            one, other = (getattr(made, field.name) for made in (found, expected))
            one, other = (getattr(made, "ids", made) for made in (one, other))
            np.testing.assert_array_equal(one, other, err_msg=f"{what}.{field.name}")
    assert edge.history(CUTOFF).products.code("unsold") == -1  # launched on the cutoff's own day


def test_no_decision_knows_of_it(plain: Shop, edge: Shop) -> None:
    customers = plain.history(CUTOFF).customers
    for read in (read_people, read_standing):
        found, expected = (read(shop, CUTOFF, customers=customers) for shop in (edge, plain))
        for field in fields(found):
            one, other = getattr(found, field.name), getattr(expected, field.name)
            np.testing.assert_array_equal(one, other, err_msg=field.name)
    assert not ProductFacts.read(edge, CUTOFF).flash.any()  # p00 was launched on the cutoff's own day


def test_no_excerpt_keeps_it(plain: Shop, edge: Shop, tmp_path: Path) -> None:
    for name, shop in (("plain", plain), ("edge", edge)):
        excerpt.write(shop, CUTOFF, names=plain.customers_seen(CUTOFF), folder=tmp_path / name)
    for file in sorted((tmp_path / "plain").iterdir()):
        assert file.read_bytes() == (tmp_path / "edge" / file.name).read_bytes(), file.name


def test_it_is_none_of_the_horizon_that_ends_there(plain: Shop, edge: Shop) -> None:
    for what in ("labels", "product_labels"):
        found, expected = (getattr(shop, what)(BEFORE, HORIZON, known_until=CUTOFF) for shop in (edge, plain))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_it_is_the_first_of_the_horizon_that_begins_there(plain: Shop, edge: Shop) -> None:
    until = edge.last_midnight
    found, expected = (shop.labels(CUTOFF, HORIZON, known_until=until) for shop in (edge, plain))
    assert found.loc["stranger"].tolist() == [1, 10_000.0]
    pd.testing.assert_series_equal(found.loc["c03"], expected.loc["c03"])  # what came back was bought before
    products_of = (
        edge.product_labels(CUTOFF, HORIZON, known_until=until).groupby("customer_id")["product_id"].agg(list)
    )
    assert products_of["stranger"] == ["novelty", "rare"]


def test_a_contact_is_one_of_the_horizon_that_closes_to_the_second(edge: Shop) -> None:
    day = pd.Timedelta(days=1)
    sent = {"since": CUTOFF, "known_until": CUTOFF + HORIZON * day}

    def sent_then(since: pd.Timestamp, until: pd.Timestamp) -> int:
        frame = labels.contacted(edge.con, HORIZON, since=since, known_until=until)
        return int((frame["sent_at"] == MOMENT).sum())

    assert sent_then(CUTOFF - day, sent["known_until"]) == 1
    assert sent_then(CUTOFF - day, sent["known_until"] - pd.Timedelta(seconds=1)) == 0
    assert sent_then(CUTOFF, sent["known_until"]) == 0


def test_what_follows_a_moment_is_from_it_on_and_ends_before_the_last(edge: Shop) -> None:
    days = 7
    moments = [MOMENT, MOMENT + pd.Timedelta(seconds=1), MOMENT - pd.Timedelta(days=days)]
    asked = pd.DataFrame({"customer_id": "stranger", "moment": moments, "product_id": "rare"})
    found = labels.followed(edge.con, asked, horizon_days=days)
    assert found["n_orders"].tolist() == [1, 0, 0]
    assert found["knew_product"].tolist() == [False, True, False]
