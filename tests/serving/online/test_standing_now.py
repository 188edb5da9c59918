"""Where customers stand after events, and who is new: as a scoring would say after an ingest of the same."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.champions import registry_of
from worlds.fakes import FakeChurn, FakeConfig, FakeValue
from worlds.orders import make_home, order_lines
from worlds.refreshing import AS_OF, as_lines

from features.arrays.history import Vocabulary
from features.ingest import ingest
from features.shop import Shop
from models.decisions.reading import read_people, read_standing
from models.policy.standing import Standing
from serving import score
from serving.online import refreshed
from serving.online.newcomers import admitted
from serving.online.recent import Recent
from serving.online.view import View
from serving.persons import rights
from serving.persons.erasure import holding
from serving.persons.held import export
from serving.persons.rights import Forgotten
from serving.scoring.folder import load
from serving.state import Pointer, State
from serving.store import Store

NOW = AS_OF + timedelta(days=9)
ZONE = "America/Sao_Paulo"
RULES = "[contact_policy]\ndelivery_days = 2\nsettling_days = 4\nheld_out_share = 0.3\n"
SCORES = ("risk", "margin", "rank")
NEW = [f"new {number}" for number in range(8)]
"""The first four are registered, and were contacted before the scoring."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score a shop which knows some people who have not ordered."""
    lines = order_lines(20)
    people = pd.DataFrame({"customer_id": [*NEW[:4], "c01", "c02"]})
    people = people.assign(email_consent=[True, False, None, True, True, True])
    people["birthday"] = pd.Timestamp("1980-06-12")
    sent = pd.DataFrame({"customer_id": NEW[:4], "sent_at": AS_OF - timedelta(days=10), "action": "survey"})
    home = make_home(
        tmp_path_factory.mktemp("shop"),
        lines[lines["ordered_at"] < pd.Timestamp("2024-05-28")],
        timezone=ZONE,
        more=RULES,
        customers=people,
        contacts=sent,
    )
    models = {"churn": FakeChurn(FakeConfig(), AS_OF), "ltv": FakeValue(FakeConfig(), AS_OF)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "Registry", registry_of(models, dict.fromkeys(models, "1")))
        score.score(home, AS_OF)
    return home


@pytest.fixture
def home(scored: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "home"
    shutil.copytree(scored, copied, symlinks=True)
    return copied


@pytest.fixture
def state(home: Path) -> Iterator[State]:
    with closing(Store.open(home)) as store, closing(View(store, AS_OF)) as view:
        yield State.of(load(home / "lists" / Pointer.read(home).stamp), view)


def happened(seed: int, customers: list[str]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "event_id": f"e{number}",
            "customer_id": str(rng.choice(customers)),
            "kind": rng.choice(["order", "order", "order", "return"]),
            "product_id": str(rng.choice(["p01", "p07", "unheard of"])),
            "quantity": float(rng.integers(1, 3)),
            "unit_price": rng.choice([None, 3.5, 0.25]),
            "occurred_at": AS_OF + timedelta(hours=int(rng.integers(0, 9 * 24))),
            "received_at": NOW,
        }
        for number in range(40)
    ]


def keep(state: State, events: list[dict[str, Any]]) -> None:
    state.view.store.keep(events)
    state.view.sync()


def later(home: Path, events: list[dict[str, Any]]) -> Shop:
    as_lines(events).to_parquet(home / "order_lines.parquet")
    ingest(home / "order_lines.parquet", home)
    return Shop(home)


def same(mine: Standing, wanted: Standing, rows: Any) -> None:
    for field in fields(Standing):
        if field.name not in SCORES:
            left, right = (getattr(table, field.name) for table in (mine, wanted))
            np.testing.assert_allclose(left, right[rows], 1e-6, err_msg=field.name)


@pytest.mark.parametrize("seed", range(3))
def test_customers_stand_where_an_ingest_of_the_same_orders_puts_them(
    state: State, home: Path, seed: int
) -> None:
    names = ["c01", "c02", "c03", "c04", "c05"]
    events = happened(seed, [*names, *NEW])
    keep(state, events)
    ordered = {row["customer_id"] for row in events if row["kind"] == "order"}
    shop, everyone = later(home, events), Vocabulary.of([*names, *NEW])
    standing, people = (
        read_standing(shop, NOW, customers=everyone),
        read_people(shop, NOW, customers=everyone),
    )
    codes = state.snapshot.customers.codes(names)
    same(Recent.read(state, NOW).standing(state, codes, now=NOW), standing, everyone.codes(names))
    for name in ordered & {*NEW}:
        known, row = admitted(state, name), np.zeros(1, np.int32)
        recent, there = Recent.of_one(known, name, now=NOW), everyone.codes([name])
        same(recent.standing(known, row, now=NOW), standing, there)
        mine = recent.people(known, row)
        assert mine.consent_recorded and mine.consent == people.consent[there]
        assert mine.n_contacts_28d == people.n_contacts_28d[there]


def test_who_ordered_since_is_weighed_by_refreshed_scores_among_all(state: State) -> None:
    for name in ("c01", NEW[0]):
        event = happened(0, [name])[0] | {"kind": "order", "event_id": name}
        keep(state, [event])
        scores = {"churn_probability_28d": 0.5, "expected_margin_28d": 30.0}
        row = {"stamp": state.snapshot.stamp, "as_of": NOW, "events_seq": 1, "customer_id": name}
        refreshed.keep(state.view.store, [row | {"features": {}, "scores": scores}])
    everyone = Recent.read(state, NOW)
    codes = state.snapshot.customers.codes(["c01", "c02"])
    standing, known = everyone.standing(state, codes, now=NOW), admitted(state, NEW[0])
    alone = Recent.of_one(known, NEW[0], now=NOW).standing(known, np.zeros(1, np.int32), now=NOW)
    assert (standing.risk[0], standing.margin[0], standing.rank[0]) == (0.5, 60.0, 1.0)
    assert (alone.risk[0], alone.margin[0], alone.rank[0]) == (0.5, 60.0, 1.0)
    before = state.snapshot.known.standing  # type: ignore[union-attr]
    assert standing.risk[1] == before.risk[codes[1]] != 0.5


def test_who_registered_is_held_only_until_erased(state: State, home: Path) -> None:
    held = export(home, NEW[1])["scoring"]
    assert held["standing"]["consent"][0] == 0 and held["n_contacts_28d"] == 1
    rights.forget(state.view.store, NEW[1], now=NOW)
    lists = [path for path in (home / "lists").iterdir() if path.is_dir()]
    assert holding(lists, Forgotten.of(home)) == lists
