import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.champions import registry_of
from worlds.fakes import FakeChurn, FakeConfig
from worlds.orders import make_home, make_shop

from features.errors import Busy, CannotLearn, NotFound, SettingsError
from features.window import parse_cutoff
from models.policy.standing import draw_held_out
from serving import score
from serving.persons import rights
from serving.persons.held import export
from serving.persons.rights import Forgotten
from serving.registry import Champion
from serving.score import end_of_orders
from serving.scoring.build import Build
from serving.scoring.folder import load
from serving.scoring.snapshot import Snapshot
from serving.state import Pointer
from serving.store import Store

MOMENT = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def home(shop_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose registry holds one champion: a churn model anybody can check."""
    copied = tmp_path / "home"
    shutil.copytree(shop_home, copied, symlinks=True)

    models = {"churn": FakeChurn(FakeConfig(), MOMENT)}
    monkeypatch.setattr(score, "Registry", registry_of(models, {"churn": "7"}))
    return copied


def scored(home: Path, as_of: datetime | None = MOMENT) -> Snapshot:
    return load(home / "lists" / score.score(home, as_of))


def test_every_customer_seen_before_the_moment_is_scored(home: Path) -> None:
    made = scored(home)
    assert made.stamp == "20240601T0000-0001"
    assert Pointer.read(home) == Pointer(made.stamp, MOMENT.isoformat(), {"churn": "7"})
    assert len(made.customers) == 40
    assert made.scores.order == ("churn_probability_28d",)
    assert made.scores.row(0)["churn_probability_28d"] is not None
    assert made.history is not None and len(made.history.product[made.history.rows(0)])
    frame = pd.read_parquet(home / "lists" / made.stamp / "scores.parquet")
    assert frame["customer_id"].tolist() == made.customers.all_names()


def test_who_brought_everything_back_is_a_customer_of_the_scoring_too(tmp_path: Path) -> None:
    kept = pd.DataFrame({"customer_id": ["a"], "ordered_at": [MOMENT - timedelta(days=30)]})
    kept = kept.assign(product_id="p", quantity=1.0, unit_price=2.0)
    back = kept.assign(ordered_at=MOMENT - timedelta(days=9), quantity=-1.0)
    lines = pd.concat([kept, back, kept.assign(customer_id="b")])
    shop = make_shop(tmp_path, lines)
    build = Build(shop, MOMENT, {}, {}, Forgotten(b"", frozenset()))
    assert build.names == shop.customers_seen(MOMENT).tolist() == ["a", "b"]
    assert np.isnan(build.snapshot().features.number("n_orders")).tolist() == [True, False]


def test_a_champion_put_back_meanwhile_is_not_overruled(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(home)
    before = Pointer.read(home)
    monkeypatch.setattr(score.Registry, "champions", lambda _: {"churn": Champion("churn", "6", "")})
    with pytest.raises(SettingsError, match=r"champions changed.*score again"):
        score.score(home, MOMENT)
    assert Pointer.read(home) == before


def test_a_registry_that_went_away_meanwhile_stops_no_scoring(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise NotFound("the registry cannot be read", "start it")

    monkeypatch.setattr(score.Registry, "champions", away)
    assert scored(home).stamp == Pointer.read(home).stamp


def test_the_moment_is_by_default_the_end_of_the_last_day(home: Path) -> None:
    from features.shop import Shop

    shop = Shop(home)
    end = end_of_orders(shop)
    assert shop.warehouse.last_at < end
    assert scored(home, None).as_of == end


def test_while_the_last_day_is_not_over_the_moment_is_just_after_the_last_order(home: Path) -> None:
    from features.shop import Shop

    shop = Shop(home)
    last = shop.warehouse.last_at
    assert end_of_orders(shop, last + timedelta(minutes=5)) == last + timedelta(microseconds=1)
    assert end_of_orders(shop, last + timedelta(days=2)) == end_of_orders(shop)
    assert end_of_orders(shop, last - timedelta(hours=1)) == last - timedelta(hours=1)


def test_a_clock_from_before_the_orders_is_doubted_not_they(home: Path) -> None:
    from features.shop import Shop

    shop = Shop(home)
    for wrong in (shop.warehouse.last_at - timedelta(days=2), datetime(1970, 1, 1, tzinfo=UTC)):
        assert end_of_orders(shop, wrong) == end_of_orders(shop)


def test_a_scoring_as_of_tomorrow_is_as_of_now_so_that_orders_until_then_count(home: Path) -> None:
    score.score(home, MOMENT + timedelta(hours=12), now=MOMENT)
    assert Pointer.read(home).as_of == MOMENT.isoformat()


@pytest.mark.parametrize(
    ("day", "told"),
    [
        ("1999-01-01", "nothing was ordered before 1999.*Hint: orders run from 2024-01"),
        ("2024-06-04", "future"),
    ],
)
def test_a_moment_of_which_nothing_can_be_known_is_refused(home: Path, day: str, told: str) -> None:
    scored(home)
    with pytest.raises(SettingsError, match=told):
        score.score(home, parse_cutoff(day), now=MOMENT)
    assert Pointer.read(home).as_of == MOMENT.isoformat()


def test_a_replay_of_the_past_does_not_see_later_orders(home: Path) -> None:
    early = scored(home, datetime(2024, 1, 20, tzinfo=UTC))
    assert len(early.customers) < 40
    assert early.cutoff_day > early.history.day.max()  # type: ignore[union-attr]


def test_who_was_erased_is_left_out_of_the_next_scoring(home: Path) -> None:
    name = scored(home).customers.all_names()[3]
    store = Store.open(home)
    rights.forget(store, name, now=MOMENT)
    store.close()
    made = scored(home)
    assert made.customer(name) == -1
    assert len(made.customers) == 39
    assert name not in pd.read_parquet(home / "lists" / made.stamp / "scores.parquet")["customer_id"].tolist()


def test_a_scoring_keeps_the_marks_of_its_customers_by_which_later_erasures_are_found(home: Path) -> None:
    gone, *_, other = scored(home).customers.all_names()
    with closing(Store.open(home)) as store:
        rights.forget(store, gone, now=MOMENT)
        made, salt = scored(home), store.salt()
    assert made.marks is not None and made.marks.made_with(salt)
    assert made.customers.names(made.marks.among([rights.digest_of(salt, other)])) == [other]
    assert made.customer(gone) == -1


@pytest.mark.parametrize(("where", "step"), [(FakeChurn, "predict"), (score.drift, "keep")])
def test_a_scoring_that_fails_changes_nothing_and_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: object, step: str
) -> None:
    before = scored(home).stamp

    def fail(*_: object, **__: object) -> None:
        raise CannotLearn("out of luck", "wait")

    monkeypatch.setattr(where, step, fail)
    with pytest.raises(CannotLearn):
        score.score(home, MOMENT)
    assert Pointer.read(home).stamp == before
    assert [path.name for path in (home / "lists").iterdir() if path.is_dir()] == [before]


def test_what_a_killed_scoring_left_is_swept_away(home: Path) -> None:
    left = home / "lists" / ".20240601T0000-0001"
    left.mkdir(parents=True)
    (left / "half.npy").touch()
    assert scored(home)
    assert not left.exists()


def test_the_last_three_scorings_are_kept(home: Path) -> None:
    stamps = [score.score(home, MOMENT) for _ in range(5)]
    kept = sorted(path.name for path in (home / "lists").iterdir() if path.is_dir())
    assert kept == stamps[-3:]


def test_two_scorings_at_once_are_refused(home: Path) -> None:
    with score.locked(home), pytest.raises(Busy, match="another scoring"):
        score.score(home, MOMENT)


def test_all_that_is_held_on_a_customer_can_be_exported(home: Path) -> None:
    scored(home)
    wrong = pd.DataFrame(
        {"table": "order_lines", "reason": "no date", "row": ['{"buyer":"c03"}', '{"n":"c04"}']}
    )
    wrong.to_parquet((home / "warehouse").resolve() / "quarantine.parquet")
    held = export(home, "c03")
    assert [row["row"] for row in held["warehouse"]["quarantine"]] == ['{"buyer":"c03"}']
    assert all(held["warehouse"][table] for table in ("order_lines", "orders", "days"))
    assert held["scoring"]["scores"]["churn_probability_28d"] is not None
    assert {"features", "lists", "due", "consent", "n_contacts_28d"} <= set(held["scoring"])
    assert held["online"]["events"] == []
    with pytest.raises(NotFound, match="no data on a customer"):
        export(home, "nobody")


def test_who_is_held_out_is_no_target_even_where_no_offers_are_made(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, more="[contact_policy]\nheld_out_share = 0.3\n")
    build = Build(shop, MOMENT, {}, {}, Forgotten(b"", frozenset()))
    risks = np.linspace(0.1, 0.9, len(build.names))  # the last are asked first
    scores = {"churn_probability_28d": risks, "expected_margin_28d": 10.0}
    build.__dict__["scores"] = pd.DataFrame(scores, index=pd.Index(build.names, name="customer_id"))
    table = build.retention()
    assert table is not None and build.terms is not None
    assert not any(action.offers_product for action in build.terms.actions)
    out = table.text("ruled_out_by") >= 0
    ids = build.customers.ids[table.number("customer")[out].astype(int)]
    assert 0 < out.sum() < len(out) and draw_held_out(ids, 0.3, salt="recompra").all()
    known = build.known()
    assert known is not None
    np.testing.assert_array_equal(known.standing.risk, risks)
