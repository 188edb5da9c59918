"""What every feature set promises. A new feature is held to it without a line here."""

import os
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.orders import contacts, make_shop, order_lines, products

from features.activity import activity
from features.bought import first_purchases
from features.customer import CUSTOMER_FEATURES
from features.feature_set import FeatureSet
from features.window import parse_cutoff

SETS = [CUSTOMER_FEATURES, activity(28)]
CUTOFFS = [parse_cutoff(day) for day in ("2024-03-01", "2024-04-15T17:30:00", "2024-06-01")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    lines = order_lines()
    return make_shop(tmp_path_factory.mktemp("shop"), lines, products=products(), contacts=contacts(lines))


def corrupted(cutoff):
    """Return the same shop, with everything at or after the cutoff replaced by nonsense, returns included."""
    lines = order_lines()
    later = lines["ordered_at"] >= pd.Timestamp(cutoff).tz_localize(None)
    lines.loc[later, ["quantity", "unit_price"]] = [7.0, 9999.0]
    lines.loc[later, "product_id"] = "nonsense"
    lines.loc[later & (lines.index % 3 == 0), "customer_id"] = "c00"
    return lines.drop(lines[later & (lines.index % 5 == 0)].index)


@pytest.mark.parametrize("features", SETS, ids=lambda each: each.name)
@pytest.mark.parametrize("cutoff", CUTOFFS, ids=str)
def test_events_on_or_after_the_cutoff_change_nothing(shop, tmp_path, features, cutoff):
    other = make_shop(tmp_path, corrupted(cutoff), products=products(), contacts=contacts(order_lines()))
    expected, found = (features.compute(each.con, cutoff, timezone="UTC") for each in (shop, other))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("features", SETS, ids=lambda each: each.name)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ids=st.lists(st.integers(0, 45).map("c{:02d}".format), max_size=4))
def test_the_row_of_a_few_equals_their_rows_in_the_batch(shop, features, ids):
    batch = features.compute(shop.con, CUTOFFS[1], timezone="UTC")
    few = features.compute(shop.con, CUTOFFS[1], ids=ids, timezone="UTC")
    pd.testing.assert_frame_equal(few, batch.loc[batch.index.isin(ids)], check_exact=True)


@pytest.mark.parametrize("features", SETS, ids=lambda each: each.name)
def test_a_panel_is_its_cutoffs_one_by_one(shop, features):
    panel = features.panel(shop.con, CUTOFFS, timezone="UTC")
    for cutoff in CUTOFFS:
        alone = features.compute(shop.con, cutoff, timezone="UTC")
        pd.testing.assert_frame_equal(panel.loc[cutoff], alone, check_exact=True)


@pytest.mark.parametrize("features", SETS, ids=lambda each: each.name)
def test_every_feature_is_named_once_and_documented_with_its_unit(features):
    assert len(set(features.names)) == len(features.names)
    assert all(unit and doc.endswith(".") for _, unit, doc in features.catalogue())


@pytest.mark.parametrize("features", SETS, ids=lambda each: each.name)
def test_only_what_cannot_be_known_is_null(shop, features):
    frame = features.compute(shop.con, CUTOFFS[2], timezone="UTC")
    often = frame[frame["n_order_days"] >= 3]
    unknown = {"last_nps_score", "nps_score", "n_orders_now", "n_orders_before", "revenue_now"}
    assert set(often.columns[often.isna().any()]) <= unknown


def test_the_fingerprint_is_the_same_in_every_process():
    code = "from features.customer import CUSTOMER_FEATURES as all; print(all.fingerprint)"
    told = {
        subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in "025"
    }
    assert told == {f"{CUSTOMER_FEATURES.fingerprint}\n".encode()}


def test_the_fingerprint_changes_with_a_definition():
    first, *rest = CUSTOMER_FEATURES.features
    sources, appended = CUSTOMER_FEATURES.sources, CUSTOMER_FEATURES.appended
    changed = FeatureSet("customer", tuple(rest), sources, appended=appended)
    assert changed.fingerprint != CUSTOMER_FEATURES.fingerprint
    same = FeatureSet("customer", (first, *rest), sources, appended=appended)
    assert same.fingerprint == CUSTOMER_FEATURES.fingerprint


def test_the_fingerprint_changes_with_a_derived_table_and_with_an_appended_set():
    (bought,) = CUSTOMER_FEATURES.appended
    derived = bought.derived | {"product_days": first_purchases}
    other = replace(bought, derived=derived)
    assert other.fingerprint != bought.fingerprint
    assert replace(CUSTOMER_FEATURES, appended=(other,)).fingerprint != CUSTOMER_FEATURES.fingerprint


def test_a_customer_id_with_a_quote_is_just_a_name(tmp_path):
    lines = order_lines(3).replace({"customer_id": {"c01": "O'Neil; DROP"}})
    shop = make_shop(tmp_path, lines)
    assert shop.customer_features(CUTOFFS[2], ["O'Neil; DROP"]).index.tolist() == ["O'Neil; DROP"]
