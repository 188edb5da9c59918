"""What is read of a shop's tables: contacts, deliveries, settling, returns, birthdays, consent by channel."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds import orders

from features.arrays.history import Vocabulary
from features.settings import PRODUCT_GROUPS, Economics, ProductGroup
from features.shop import Shop
from features.window import day_number, parse_cutoff
from models.decisions.reading import days_since_birthday, group_days, read_people, read_standing, with_scores
from models.policy.actions import CHANNELS, EVENTS, NAMES
from models.policy.standing import Standing

CUTOFF = parse_cutoff("2024-06-01")
WHO = Vocabulary.of(["ann", "ben", "cat", "dan", "stranger"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("standing"))


@pytest.fixture(scope="module")
def standing(shop: Shop) -> Standing:
    return read_standing(shop, CUTOFF, customers=WHO)


def make_shop(folder: Path) -> Shop:
    """Ann waits for a delivery, Ben's shoes came a week ago, Cat sends back, Dan bought at the till."""
    lines = pd.DataFrame(
        [
            ("ann", "a1", "2024-05-29 10:00", "shoe"),
            ("ben", "b0", "2024-01-10 10:00", "bread"),
            ("ben", "b1", "2024-05-20 10:00", "shoe"),
            ("ben", "b1", "2024-05-20 10:05", "bread"),
            ("cat", "c1", "2024-05-20 10:00", "bread"),
            ("dan", "d1", "2024-05-31 10:00", "bread"),
            ("dan", "d2", "2024-06-02 10:00", "bread"),
        ],
        columns=["customer_id", "order_id", "ordered_at", "product_id"],
    ).assign(quantity=1.0, unit_price=10.0)
    deliveries = pd.DataFrame(
        [
            ("a1", None, "shipped"),
            ("b1", "2024-05-27 09:00", "delivered"),
            ("c1", "2024-05-22 09:00", "Return_Requested"),
        ],
        columns=["order_id", "delivered_at", "status"],
    )
    contacts = pd.DataFrame(
        [
            ("ben", "2024-05-26 09:00", "win_back", True),
            ("ben", "2024-05-10 09:00", "survey", True),
            ("ben", "2024-05-30 09:00", "survey", False),
            ("cat", "2024-05-25 09:00", "win_back", True),
            ("cat", "2024-05-04 00:00", "win_back", True),
            ("cat", "2024-05-03 23:59", "win_back", True),
            ("dan", "2024-06-01 09:00", "survey", True),
        ],
        columns=["customer_id", "sent_at", "action", "treated"],
    )
    customers = pd.DataFrame(
        {
            "customer_id": ["ann", "ben", "cat"],
            "email_consent": [True, False, None],
            "sms_consent": [False, True, None],
            "birthday": ["1980-06-03", "2000-02-29", None],
            "email": ["  Ann@Example.com ", None, "a" * 64],
        }
    )
    return orders.make_shop(
        folder,
        lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"])),
        products=pd.DataFrame({"product_id": ["shoe", "bread"], "category": ["Fashion > Shoes", "Bakery"]}),
        deliveries=deliveries.assign(delivered_at=pd.to_datetime(deliveries["delivered_at"])),
        contacts=contacts.assign(sent_at=pd.to_datetime(contacts["sent_at"])),
        customers=customers.assign(birthday=pd.to_datetime(customers["birthday"])),
    )


def test_days_since_events_count_to_the_cutoff(standing: Standing) -> None:
    since = {event: standing.since[:, at] for at, event in enumerate(EVENTS)}
    np.testing.assert_array_equal(since["first_order"], [3, 143, 12, 1, np.nan])
    np.testing.assert_array_equal(since["last_order"], [3, 12, 12, 1, np.nan])
    np.testing.assert_array_equal(since["delivery"], [np.nan, 5, 10, 1, np.nan])


def test_a_usual_order_is_what_an_order_came_to_on_average(standing: Standing) -> None:
    assert standing.n_orders.tolist() == [1, 2, 1, 1, 0]
    np.testing.assert_array_equal(standing.basket, [10, 15, 10, 10, np.nan])


def test_goods_settle_after_delivery_by_their_product_group(standing: Standing) -> None:
    assert standing.settles_in.tolist() == [57, 2, -10, -1, 0]  # Ann's is lost 60 days after the order


def test_a_product_groups_word_may_hold_an_apostrophe(tmp_path: Path) -> None:
    lines = pd.DataFrame(
        {"customer_id": ["ann"], "ordered_at": [pd.Timestamp("2024-05-31 10:00")], "product_id": ["coat"]}
    )
    products = pd.DataFrame({"product_id": ["coat"], "category": ["Women's > Coats"]})
    more = '[product_groups.women]\ncategories = ["women\'s"]\nsettling_days = 9\n'
    shop = orders.make_shop(tmp_path, lines, more=more, products=products)
    assert read_standing(shop, CUTOFF, customers=WHO).settles_in[0] == 8


def test_a_product_belongs_to_the_first_group_that_names_its_category_in_any_case(tmp_path: Path) -> None:
    groups = {
        "coats": ProductGroup(categories=("COAT",), settling_days=9),
        "women": ProductGroup(categories=("women",), settling_days=3),
    }
    assert group_days(groups, ["Women's > Coats"], field="settling_days").tolist() == [9]
    more = (
        '[product_groups.coats]\ncategories = ["COAT"]\nsettling_days = 9\n'
        '[product_groups.women]\ncategories = ["women"]\nsettling_days = 3\n'
    )
    lines = pd.DataFrame(
        {"customer_id": ["ann"], "ordered_at": [pd.Timestamp("2024-05-31 10:00")], "product_id": ["coat"]}
    )
    products = pd.DataFrame({"product_id": ["coat"], "category": ["Women's > Coats"]})
    shop = orders.make_shop(tmp_path, lines, more=more, products=products)
    assert read_standing(shop, CUTOFF, customers=WHO).settles_in[0] == 8


def test_what_is_still_on_its_way_by_the_days_assumed_is_no_delivery_yet(tmp_path: Path) -> None:
    lines = pd.DataFrame(
        {
            "customer_id": ["ann", "ann"],
            "ordered_at": pd.to_datetime(["2024-05-10 10:00", "2024-05-31 10:00"]),
            "product_id": ["coat", "coat"],
        }
    )
    more = "[contact_policy]\ndelivery_days = 5\nsettling_days = 2\n"
    standing = read_standing(orders.make_shop(tmp_path, lines, more=more), CUTOFF, customers=WHO)
    assert standing.since[0, EVENTS.index("delivery")] == 17  # of the first order, on 15 May
    assert standing.settles_in[0] == 6  # the second arrives on 5 June


def test_a_product_group_without_categories_holds_no_product(tmp_path: Path) -> None:
    assert (
        group_days({"empty": ProductGroup(settling_days=9)}, ["Coats", ""], field="settling_days").max() == 0
    )
    more = "".join(
        f"[product_groups.{name}]\ncategories = []\nsettling_days = 9\n" for name in PRODUCT_GROUPS
    )
    lines = pd.DataFrame(
        {"customer_id": ["ann"], "ordered_at": [pd.Timestamp("2024-05-31 10:00")], "product_id": ["shoe"]}
    )
    shop = orders.make_shop(tmp_path, lines, more=more)
    assert read_standing(shop, CUTOFF, customers=WHO).settles_in[0] == -1


def test_only_a_return_under_way_is_open(standing: Standing) -> None:
    assert standing.return_open.tolist() == [False, False, True, False, False]


def test_a_return_is_open_until_it_comes_back_or_the_order_is_60_days_old(tmp_path: Path) -> None:
    days = {"ann": "2024-05-20", "ben": "2024-05-20", "cat": "2024-04-02", "dan": "2024-04-03"}
    whom, goods = {"customer_id": [*days], "order_id": [*days]}, {"product_id": "shoe", "unit_price": 9.0}
    lines = pd.DataFrame(whom | {"ordered_at": [*days.values()], "quantity": 1.0} | goods)
    back = lines[lines["customer_id"] == "ben"].assign(ordered_at="2024-05-25", quantity=-1.0)
    lines = pd.concat([lines, back])
    deliveries = pd.DataFrame({"order_id": [*days], "status": "return_requested"})
    shop = orders.make_shop(
        tmp_path,
        lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"])),
        more='[contact_policy]\nopen_return_statuses = ["Return_Requested"]\n',
        deliveries=deliveries,
    )
    assert read_standing(shop, CUTOFF, customers=WHO).return_open.tolist() == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_only_contacts_made_before_the_cutoff_count(standing: Standing) -> None:
    assert standing.n_contacts_7d.tolist() == [0, 1, 0, 0, 0]
    survey, win_back = (standing.since_action[:, NAMES.index(name)] for name in ("survey", "win_back"))
    assert (survey[1], win_back[1], win_back[2]) == (22, 6, 7)  # the last of each action
    assert np.isnan(survey[3])


def test_contacts_of_28_days_count_but_not_those_only_held_out(shop: Shop) -> None:
    assert read_people(shop, CUTOFF, customers=WHO).n_contacts_28d.tolist() == [0, 2, 2, 0, 0]


def ann(folder: Path, moment: str, timezone: str = "UTC") -> Shop:
    """Of two orders of 20 May one arrives and one comes back at ``moment``; so do an order and a contact."""
    lines = pd.DataFrame(
        [
            ("a1", "2024-05-20 10:00", 1.0),
            ("a2", "2024-05-20 11:00", 1.0),
            ("a2", moment, -1.0),
            ("a3", moment, 1.0),
        ],
        columns=["order_id", "ordered_at", "quantity"],
    ).assign(customer_id="ann", unit_price=10.0, product_id=["shoe", "coat", "coat", "shoe"])
    deliveries = pd.DataFrame(
        [("a1", moment, "shipped"), ("a2", "2024-05-22 09:00", "return_requested")],
        columns=["order_id", "delivered_at", "status"],
    )
    contacts = pd.DataFrame({"customer_id": ["ann"], "sent_at": [moment], "action": "survey"})
    return orders.make_shop(
        folder,
        lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"])),
        timezone=timezone,
        deliveries=deliveries.assign(delivered_at=pd.to_datetime(deliveries["delivered_at"])),
        contacts=contacts.assign(sent_at=pd.to_datetime(contacts["sent_at"])),
    )


def test_what_happens_at_the_cutoff_is_known_no_more_than_what_happens_a_month_later(tmp_path: Path) -> None:
    at, later = (ann(tmp_path / day, f"{day} 00:00") for day in ("2024-06-01", "2024-07-01"))
    now, then = (read_standing(shop, CUTOFF, customers=WHO) for shop in (at, later))
    for field in fields(now):
        np.testing.assert_array_equal(getattr(now, field.name), getattr(then, field.name), field.name)
    assert now.return_open[0] and read_people(at, CUTOFF, customers=WHO).n_contacts_28d[0] == 0


def test_days_are_those_of_the_shops_calendar(tmp_path: Path) -> None:
    zone = "America/Sao_Paulo"  # 22:00 there is the next day in UTC
    shop, cutoff = ann(tmp_path, "2024-05-30 22:00", zone), parse_cutoff("2024-06-01", zone)
    standing = read_standing(shop, cutoff, customers=WHO)
    assert standing.since[0, EVENTS.index("delivery")] == standing.since_action[0, NAMES.index("survey")] == 2
    assert (
        read_people(shop, cutoff, customers=WHO).n_contacts_28d[0] == 1
    )  # a contact is one unless it says otherwise


def test_what_was_bought_today_without_a_record_of_delivery_arrived_today(shop: Shop) -> None:
    noon = read_standing(shop, parse_cutoff("2024-05-31T12:00"), customers=WHO)
    assert noon.since[3, EVENTS.index("delivery")] == 0


def consents(standing: Standing) -> tuple[list[int], ...]:
    return tuple(standing.consent[:, CHANNELS.index(name)].tolist() for name in ("email", "sms", "push"))


def test_consent_is_read_by_channel_and_one_not_given_is_refused_where_others_are(standing: Standing) -> None:
    assert consents(standing) == ([1, 0, -1, -1, -1], [0, 1, 0, 0, 0], [-1] * 5)


def test_where_consent_is_not_required_one_that_nobody_recorded_is_no_refusal(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.settings = shop.settings.model_copy(update={"economics": Economics(require_consent=False)})
    assert consents(read_standing(shop, CUTOFF, customers=WHO))[1] == [0, 1, -1, -1, -1]


def test_a_shop_that_knows_some_consents_records_consent(shop: Shop) -> None:
    people = read_people(shop, CUTOFF, customers=WHO)
    assert people.consent_recorded and people.consent.tolist() == [1, 0, -1, -1, -1]


def test_a_birthday_is_counted_to_the_nearest(standing: Standing) -> None:
    np.testing.assert_array_equal(
        standing.since[:, EVENTS.index("birthday")], [-2, 93, np.nan, np.nan, np.nan]
    )


@pytest.mark.parametrize(
    ("born", "today", "days"),
    [
        ("2000-02-29", "2025-03-01", 0),  # on the 29th of February: every year
        ("2000-02-29", "2024-02-29", 0),
        ("2000-02-29", "2025-02-28", -1),
        ("1980-12-30", "2025-01-05", 6),
        ("1980-01-02", "2024-12-30", -3),
    ],
)
def test_the_nearest_birthday_may_be_of_another_year(born: str, today: str, days: int) -> None:
    born_on, number = np.array([born], "datetime64[D]"), day_number(pd.Timestamp(today).date())
    assert days_since_birthday(born_on, number).tolist() == [days]


def test_of_an_address_only_the_digest_of_its_normal_form_is_kept(shop: Shop) -> None:
    import hashlib

    kept = shop.con.raw_sql("SELECT customer_id, email FROM customers").df()
    emails = kept.set_index("customer_id")["email"]
    assert emails["ann"] == hashlib.sha256(b"ann@example.com").hexdigest()
    assert emails["cat"] == "a" * 64
    assert pd.isna(emails["ben"])


def test_a_product_belongs_to_the_group_whose_word_begins_one_of_its_paths() -> None:
    paths = ["Fashion > Shoes", "Home > Telephones", "Electronics > Phones", "Sea food", ""]
    assert group_days(PRODUCT_GROUPS, paths, field="settling_days").tolist() == [7, 0, 14, 0, 0]


def test_rank_is_the_share_of_customers_worth_no_more(standing: Standing) -> None:
    worth = pd.DataFrame({"expected_margin_28d": [4, 1, np.nan, 2, 4], "churn_probability_28d": 0.2})
    found = with_scores(standing, worth, horizon_days=28)
    np.testing.assert_allclose(found.rank, [1, 0.4, 0.2, 0.6, 1])
    np.testing.assert_allclose(found.margin, [5, 1.25, np.nan, 2.5, 5])  # of those who stay


def test_scores_are_read_by_customer_whatever_their_order(shop: Shop) -> None:
    risks = pd.DataFrame({"churn_probability_28d": {"cat": 0.3, "ann": 0.1, "ben": 0.2}})
    np.testing.assert_array_equal(
        read_standing(shop, CUTOFF, customers=WHO, scores=risks).risk, [0.1, 0.2, 0.3, np.nan, np.nan]
    )


def test_time_passes_for_every_clock(standing: Standing) -> None:
    later = standing.later(2)
    assert later.settles_in[1] == 0
    np.testing.assert_array_equal(later.since, standing.since + 2)
