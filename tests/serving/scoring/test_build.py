"""What a scoring takes from all its models, and whom it leaves out."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from worlds.checkerboard import CUTOFF, board_catalogue, board_lines
from worlds.fakes import FakeChurn, FakeConfig, FakeValue
from worlds.orders import make_home

from features.settings import ContactPolicy, Economics
from features.shop import Shop
from models.lists.picks import Picks
from models.policy.action_table import ActionTable
from models.policy.actions import KEEP
from serving.persons import rights
from serving.persons.rights import Forgotten
from serving.scoring.build import Build
from serving.store import Store


def test_who_was_erased_before_they_ordered_is_not_known_by_their_attributes_either(tmp_path: Path) -> None:
    people = [f"c{number:03d}" for number in range(63)]  # the last three have no orders yet
    customers = pd.DataFrame({"customer_id": people, "region": "north"})
    home = make_home(tmp_path, board_lines(), products=board_catalogue(), customers=customers)
    with closing(Store.open(home)) as store:
        rights.forget(store, "c061", now=CUTOFF)
    segments = Build(Shop(home), CUTOFF, {}, {}, Forgotten.of(home)).segments()
    assert segments is not None
    assert segments.customers.all_names() == ["c060", "c062"]


def test_rows_are_those_of_who_is_left_and_of_who_bought_no_product_there_are_none(tmp_path: Path) -> None:
    lines = pd.concat([board_lines(), board_lines()[:1].assign(customer_id="a", product_id=None)])
    home = make_home(tmp_path, lines, products=board_catalogue())
    with closing(Store.open(home)) as store:
        rights.forget(store, "c001", now=CUTOFF)
    shop = Shop(home)
    n = len(shop.history(CUTOFF).customers)
    own = np.arange(n, dtype=np.int32)[:, None]
    made = {"for_you": Picks(own, own.astype(np.float32), *(own.astype(np.int8) for _ in Picks._fields[2:]))}
    lists: Any = SimpleNamespace(state=lambda *_: None, ready=lambda _, k: made)
    effect: Any = SimpleNamespace(effect=lambda rows, _: pd.DataFrame({"effect": rows["n_orders"]}))
    build = Build(shop, CUTOFF, {"cross_sell": lists, "uplift": effect}, {}, Forgotten.of(home))
    assert build.names[:3] == ["a", "c000", "c002"] and len(build.names) == n
    assert build.history.customers.all_names() == build.names
    assert build.ready()["for_you"].product[:3, 0].tolist() == [-1, 0, 2]
    told = build.learnt(ActionTable.of([KEEP], Economics(), policy=ContactPolicy()))[KEEP.name]
    orders = shop.customer_features(CUTOFF).loc[build.names, "n_orders"]
    np.testing.assert_array_equal(told, orders)


def test_a_scoring_tells_the_caveats_of_every_model(tmp_path: Path) -> None:
    class Carried(FakeChurn):
        def notes(self, *_: Any) -> list[dict[str, Any]]:
            return [{"code": "carried", "model": self.name}]

    class Worth(FakeValue):
        def notes(self, *_: Any) -> list[dict[str, Any]]:
            return [{"code": "season", "model": self.name}]

    more = '[lists]\nlocale = "pt"\n[economics]\ncontact_cost = 9.0\n'
    lima = {"timezone": "America/Lima", "more": more}
    home = make_home(tmp_path, board_lines(), products=board_catalogue(), **lima)  # type: ignore[arg-type]
    models = {"churn": Carried(FakeConfig(), CUTOFF), "ltv": Worth(FakeConfig(), CUTOFF)}
    made = Build(Shop(home), CUTOFF, models, {}, Forgotten.of(home)).snapshot()
    assert [(note["code"], note["model"]) for note in made.notes] == [("carried", "churn"), ("season", "ltv")]
    assert (made.timezone, made.locale, made.economics.contact_cost) == ("America/Lima", "pt", 9.0)


def test_demand_and_the_states_of_lists_are_saved_beside_a_scoring(tmp_path: Path) -> None:
    home = make_home(tmp_path, board_lines(), products=board_catalogue())
    saved: list[tuple[str, Path]] = []
    demand = pd.DataFrame({"product_id": ["p1"], "expected_units_28d": [3.0]})
    models: dict[str, Any] = {
        "churn": FakeChurn(FakeConfig(), CUTOFF),
        "repurchase": SimpleNamespace(state=lambda *_: None, demand=lambda *_, **__: demand),
        "cross_sell": SimpleNamespace(
            state=lambda *_: None, save_state=lambda _, folder: saved.append(("lists", folder))
        ),
        "upsell": SimpleNamespace(
            state=lambda *_: SimpleNamespace(save=lambda folder: saved.append(("upsell", folder)))
        ),
    }
    build = Build(Shop(home), CUTOFF, models, {}, Forgotten.of(home))
    build.__dict__["scores"] = pd.DataFrame(index=pd.Index(build.names, name="customer_id"))
    build.save_more(tmp_path)
    assert pd.read_parquet(tmp_path / "demand.parquet").equals(demand)
    assert saved == [("lists", tmp_path / "state"), ("upsell", tmp_path / "state")]
