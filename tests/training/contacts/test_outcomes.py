"""What decisions earned, in a shop whose mails move the spenders by a known amount."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.campaign import tables
from worlds.orders import order_lines

from features.errors import InputError
from features.ingest import ingest
from features.shop import Shop
from models.policy.standing import draw_held_out
from training.contacts.decided import Record
from training.contacts.outcome_tables import ACTIONS, POLICIES, UPLIFT, boards, sentences
from training.contacts.outcomes import Outcomes, outcomes
from training.contacts.past_policies import read_policy

RATE = 0.3
NO_CONTACTS = pd.DataFrame(
    columns=["contact_id", "customer_id", "sent_at", "action", "product_id", "treated", "propensity", "cost"]
)


def make_home(
    folder: Path,
    lines: pd.DataFrame,
    held_out_share: float = 0.0,
    more: str = "",
    products: pd.DataFrame | None = None,
) -> Path:
    source = folder / "source"
    source.mkdir(parents=True)
    rest = f"[contact_policy]\nheld_out_share = {held_out_share}\n" if held_out_share else ""
    (source / "recompra.toml").write_text(f'currency = "EUR"\nhorizon_days = 28\n{rest}{more}')
    lines.to_parquet(source / "order_lines.parquet")
    if products is not None:
        products.to_parquet(source / "products.parquet")
    ingest(source, folder / "home")
    return folder / "home"


def decisions_of(contacts: pd.DataFrame) -> pd.DataFrame:
    """A coin decides at every mail: the product the customer buys anyway, or nothing."""
    number = contacts["customer_id"].str[1:].astype(int)
    return pd.DataFrame(
        {
            "customer_id": contacts["customer_id"],
            "decided_at": contacts["sent_at"].dt.tz_localize("UTC"),
            "action": np.where(contacts["treated"], "win_back", "nothing"),
            "product_id": np.where(contacts["treated"], np.where(number % 2 == 0, "dear", "cheap"), None),
            "propensity": 0.5,
            "expected_margin": 1.0,
        }
    )


@pytest.fixture(scope="module")
def world() -> dict[str, pd.DataFrame]:
    return tables(800)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, world: dict[str, pd.DataFrame]) -> Path:
    return make_home(tmp_path_factory.mktemp("outcomes"), world["lines"])


@pytest.fixture(scope="module")
def found(home: Path, world: dict[str, pd.DataFrame]) -> Outcomes:
    decisions = decisions_of(world["contacts"])
    spenders = decisions["customer_id"].str[1:].astype(int) % 2 == 0
    policy = decisions.assign(action="win_back")[spenders][["customer_id", "action"]]
    return outcomes(
        home, decisions, contacts=world["contacts"].assign(product_id=None, cost=0.1), policy=policy
    )


def test_each_action_is_compared_with_its_own_held_out(found: Outcomes) -> None:
    told = found.uplift["win_back"]
    truth = 0.4 * 0.75 / 2  # half of the customers are moved, unless they order anyway
    assert told["order_rate"]["low"] < truth < told["order_rate"]["high"]
    assert told["order_rate"]["low"] > 0
    assert told["order_rate_held_out"] == pytest.approx(0.25, abs=0.03)
    assert told["margin_a_customer"]["value"] == pytest.approx(0.5 * 0.4 * 50 * RATE - 0.1, abs=0.6)
    earned = told["margin_earned"]["value"]
    assert earned == pytest.approx(told["margin_a_customer"]["value"] * told["n_treated"])


def test_other_policies_are_valued_from_what_was_logged(found: Outcomes) -> None:
    nothing = 0.25 * (50 + 5) / 2 * RATE
    truths = {
        "nothing": nothing,
        "win_back": nothing + 0.5 * 0.4 * 50 * RATE - 0.1,
        "given": nothing + 0.5 * (0.4 * 50 * RATE - 0.1),
    }
    for name, truth in truths.items():
        for estimate in ("ips", "snips", "dr"):
            told = found.policies[name][estimate]
            assert told["low"] - 0.2 < truth < told["high"] + 0.2, (name, estimate)
    assert found.policies["given"]["dr"]["value"] > found.policies["win_back"]["dr"]["value"]
    assert found.policies["followed"]["mean"]["value"] == pytest.approx(
        nothing + 0.25 * 0.4 * 50 * RATE, abs=0.5
    )


def test_what_was_offered_was_bought_or_not_and_was_new_or_not(found: Outcomes) -> None:
    told = found.actions["win_back"]
    assert 0.3 < told["bought_what_was_offered"]["value"] < 0.5
    assert told["cross_sold"] is None  # everybody had bought it before
    assert found.actions["nothing"]["bought_what_was_offered"] is None


def test_a_decision_whose_horizon_is_open_is_not_counted(found: Outcomes) -> None:
    assert found.n_decisions == 800 * 6
    assert found.n_closed < found.n_decisions


def test_of_decisions_within_one_horizon_only_the_first_counts(home: Path, world) -> None:
    once = decisions_of(world["contacts"])
    later = once.assign(decided_at=once["decided_at"] + pd.Timedelta(days=3))
    assert (
        outcomes(home, pd.concat([once, later]), contacts=NO_CONTACTS).n_closed
        == outcomes(home, once, contacts=NO_CONTACTS).n_closed
    )


def test_no_order_counts_for_two_decisions(home: Path, world) -> None:
    first = decisions_of(world["contacts"]).drop_duplicates("customer_id")
    days = [first.assign(decided_at=first["decided_at"] + pd.Timedelta(days=after)) for after in (0, 50, 60)]
    assert outcomes(home, pd.concat(days), contacts=NO_CONTACTS).n_closed == 2 * len(
        first
    )  # 60 is 10 after 50


def test_customers_held_out_by_their_id_are_the_others_comparison(world, tmp_path: Path) -> None:
    home = make_home(tmp_path, world["lines"], held_out_share=0.3)
    decisions = decisions_of(world["contacts"])
    ids = np.array([name.encode() for name in decisions["customer_id"]])
    decisions.loc[held := draw_held_out(ids, 0.3, salt="recompra"), "action"] = "nothing"
    share = held.mean()
    told = outcomes(home, decisions, contacts=NO_CONTACTS).uplift["policy"]
    assert told["n_held_out"] / (told["n_treated"] + told["n_held_out"]) == pytest.approx(share, abs=0.02)
    assert told["order_rate"]["low"] < 0 < told["order_rate"]["high"]  # this world's coin knows nothing of it


def test_decisions_of_before_anybody_was_held_out_are_not_compared(world, tmp_path: Path) -> None:
    home = make_home(tmp_path, world["lines"], held_out_share=0.3)
    decisions = decisions_of(world["contacts"]).sort_values("decided_at", ignore_index=True)
    late = decisions["decided_at"] > decisions["decided_at"].median()
    ids = np.array([name.encode() for name in decisions["customer_id"]])
    held = draw_held_out(ids, 0.3, salt="recompra")
    decisions.loc[late & held, "action"] = "nothing"
    told = outcomes(home, decisions, contacts=NO_CONTACTS)
    last = decisions.loc[held & (decisions["action"] != "nothing"), "decided_at"].max()
    known = Record(Shop(home)).decided(decisions)
    since = known[known["moment"] > last.tz_localize(None)]
    assert 0 < len(since) < len(known)
    assert told.uplift["policy"]["n_held_out"] == (~since["treated"]).sum()
    assert told.n_closed == len(known)
    none = outcomes(home, decisions[~late], contacts=NO_CONTACTS).not_yet["uplift of policy"]
    assert "of those since customers are held out" in none


def test_too_little_is_answered_in_words_with_the_numbers_needed(home: Path, world, tmp_path: Path) -> None:
    few = outcomes(home, decisions_of(world["contacts"]).head(20), contacts=NO_CONTACTS)
    assert "none of the 20 recorded was held out" in few.not_yet["uplift of policy"]
    assert "200 decisions with a known outcome are needed, found 20" in few.not_yet["policies of nothing"]
    assert few.proposal.startswith("hold out 50% of the customers, at random, for ")
    assert (
        "the change of 3.47 percentage points asked for" in few.proposal
    )  # .05 of the 69.4% who would not order
    few.write(tmp_path / "outcomes.json")
    assert json.loads((tmp_path / "outcomes.json").read_text())["n_decisions"] == 20


def test_a_policy_that_was_certain_of_itself_cannot_be_compared_and_says_so(home: Path, world) -> None:
    sure = decisions_of(world["contacts"]).assign(propensity=1.0)
    assert (
        "the log does not cover the policy"
        in outcomes(home, sure, contacts=NO_CONTACTS).not_yet["policies of nothing"]
    )


def test_a_contact_costs_what_it_is_said_to_else_what_its_action_does(world, tmp_path: Path) -> None:
    home = make_home(tmp_path, world["lines"], more="[actions.win_back]\ncost = 2.0\n")
    decisions = decisions_of(world["contacts"]).query("action == 'win_back'")
    dear = outcomes(home, decisions, contacts=NO_CONTACTS).actions["win_back"]["margin_after_contact"]
    told = decisions.assign(cost=0.5)
    cheap = outcomes(home, told, contacts=NO_CONTACTS).actions["win_back"]
    assert cheap["margin_after_contact"] - dear == pytest.approx(1.5 * cheap["n"])


def test_a_discount_comes_off_the_margin_in_full(world, tmp_path: Path) -> None:
    decisions = decisions_of(world["contacts"])
    found = {}
    for share in (0.0, 0.2):
        lines = world["lines"].assign(discount=share * world["lines"]["unit_price"])
        cost = pd.DataFrame({"product_id": ["dear", "cheap"], "unit_cost": [35.0, 3.5]})
        home = make_home(tmp_path / str(share), lines, products=cost)
        found[share] = outcomes(home, decisions, contacts=NO_CONTACTS).actions["nothing"][
            "margin_after_contact"
        ]
    assert found[0.2] / found[0.0] == pytest.approx((0.8 - 0.7) / (1 - 0.7))


def test_what_was_followed_is_told_over_customers_and_not_over_decisions(
    found: Outcomes, home, world
) -> None:
    decided = Record(Shop(home)).decided(decisions_of(world["contacts"]))
    sums = decided["reward"].sub(decided["reward"].mean()).groupby(decided["customer_id"]).sum()
    told = found.policies["followed"]["mean"]
    half_width = 1.96 * np.sqrt((sums**2).sum()) / len(decided)
    assert (told["high"] - told["low"]) / 2 == pytest.approx(half_width, rel=1e-3)


def test_the_table_tells_the_currency_and_which_figures_are_changes(found: Outcomes) -> None:
    told = {table.title: table for table in boards(found)}
    assert [title.partition("?")[2] for title in told] == [" (within 28 days, money in EUR)"] * 3
    contacts = told["Did contacts pay? (within 28 days, money in EUR)"]
    rows = list(zip(*(column.cells for column in contacts.columns), strict=True))
    change = next(row for row in rows if row[1] == "change of the share who ordered")
    effect = found.uplift["win_back"]["order_rate"]
    assert change[0] == "win_back" and change[2] == f"{100 * effect['value']:+.2f} points"
    assert change[3] == f"{100 * effect['low']:+.2f} points to {100 * effect['high']:+.2f} points"


def test_every_figure_has_a_name_for_people(found: Outcomes) -> None:
    for figures, told in ((UPLIFT, found.uplift), (POLICIES, found.policies), (ACTIONS, found.actions)):
        assert {figure for facts in told.values() for figure in facts} == {*figures}
    shown = {cell for table in boards(found) for column in table.columns[:2] for cell in column.cells}
    assert not {cell for cell in shown if "_" in cell} - {"win_back", "win_back to everyone"}
    assert {"as it was done", "nobody is contacted", "the policy in the file"} <= shown


def test_a_shop_without_a_decision_gets_an_answer_and_a_table(tmp_path: Path) -> None:
    none = decisions_of(tables(10)["contacts"]).head(0)
    found = outcomes(make_home(tmp_path, order_lines()), none, contacts=NO_CONTACTS)
    assert (found.n_closed, found.uplift, found.policies) == (0, {}, {})
    assert "no decision has a known outcome yet" in found.not_yet["uplift of policy"]
    assert list(boards(found)) == []
    assert sentences(found)[:3] == [
        "0 decisions recorded; the outcome of 0 is known (one per customer and horizon)",
        "Did contacts pay? Not known yet:",
        f"  all decisions: {found.not_yet['uplift of policy']}",
    ]
    assert sum("200 decisions with a known outcome" in said for said in sentences(found)) == 1


def test_a_shop_whose_clock_was_set_back_within_the_horizon_gets_a_proposal(tmp_path: Path) -> None:
    lines = order_lines()
    late = pd.Timestamp("2024-11-10") - lines["ordered_at"].max().normalize()
    lines = lines.assign(ordered_at=lines["ordered_at"] + late)
    home = make_home(tmp_path, lines, more='timezone = "Europe/Lisbon"\n')
    none = decisions_of(tables(10)["contacts"]).head(0)
    assert "hold out" in outcomes(home, none, contacts=NO_CONTACTS).proposal


def test_a_policy_file_holds_every_id_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "policy.csv").write_text(
        "\ufeffcustomer_id;action\n007;offer\nNA;contact\n", encoding="utf-8"
    )
    assert read_policy(tmp_path / "policy.csv")["customer_id"].tolist() == ["007", "NA"]


def test_a_policy_file_without_its_columns_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "policy.csv").write_text("customer,action\n1,offer\n")
    with pytest.raises(InputError, match="column 'customer_id' missing from the policy"):
        read_policy(tmp_path / "policy.csv")
    with pytest.raises(InputError, match="cannot read the policy"):
        read_policy(tmp_path / "none.parquet")
