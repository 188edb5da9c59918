"""Erasure of a whole home: what goes, what stays gone, and a search that finds what is left."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from worlds.champions import registry_of
from worlds.fakes import FakeChurn, FakeConfig
from worlds.orders import ODD, contacts, make_home, order_lines

import recompra.data
from features.errors import CannotLearn, NotFound
from features.ingest import ingest, remote
from serving import score
from serving.online.tables import DECISIONS
from serving.persons import erasure, remains, rights
from serving.persons.erasure import Certificate, SweptFiles, as_text, erase, sweep
from serving.persons.held import online
from serving.persons.remains import Search, search
from serving.persons.rights import Forgotten
from serving.scoring.folder import load
from serving.scoring.kept import whole
from serving.state import Pointer
from serving.store import Store
from serving.watcher import Watcher

MOMENT = datetime(2024, 6, 1, tzinfo=UTC)
WHO = "customer-c03"


def shop_lines() -> pd.DataFrame:
    lines = order_lines(6, days=160)
    return lines.assign(customer_id="customer-" + lines["customer_id"])


OneChampion = registry_of({"churn": FakeChurn(FakeConfig(), MOMENT)}, {"churn": "7"})


@pytest.fixture(scope="module")
def shop_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home scored twice, with something of two customers in its store."""
    lines = shop_lines()
    made = make_home(tmp_path_factory.mktemp("shop") / ODD, lines, contacts=contacts(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "Registry", OneChampion)
        for _ in range(2):
            score.score(made, MOMENT)
    remember(made, WHO)
    remember(made, "customer-c04")
    return made


@pytest.fixture
def home(shop_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(score, "Registry", OneChampion)
    return Path(shutil.copytree(shop_home, tmp_path / ODD, symlinks=True))


def remember(home: Path, who: str) -> None:
    number = str(abs(hash(who)))
    event = {"event_id": number, "customer_id": who, "kind": "contact", "product_id": None, "quantity": None}
    event |= {"unit_price": None, "occurred_at": MOMENT, "received_at": MOMENT}
    contact = {"contact_id": number, "customer_id": who, "sent_at": MOMENT, "treated": True}
    decision = {"decision_id": number, "customer_id": who, "decided_at": MOMENT, "as_of": MOMENT}
    decision |= {"action": "win_back", "propensity": 1.0, "models": ""}
    with closing(Store.open(home)) as store:
        store.keep([event], [contact])
        store.decide([decision])


def test_one_command_takes_a_customer_out_of_everything_and_proves_it(home: Path) -> None:
    before = search(home, WHO).found
    assert {re.split("[-/ ]", place)[0] for place in before} >= {"warehouse", "lists", "online.db"}
    made = erase(home, f" {WHO}\u3000", now=MOMENT)
    assert made.clean, as_text(made)
    assert "store: 1 contacts, 1 decisions, 1 events\n" in as_text(made) and "left: nothing" in as_text(made)
    assert search(home, WHO).found == {}
    assert made.store == {"contacts": 1, "decisions": 1, "events": 1, "refreshed": 0}
    assert made.files.warehouse["order_lines"] > 0
    assert len(made.files.scorings_removed) == 2
    assert made.files.scored_anew == Pointer.read(home).stamp
    kept = (home / "erasures" / f"{made.digest[:16]}.json").read_text(encoding="utf-8")
    assert json.loads(kept)["clean"] and WHO not in kept
    assert json.loads((home / "audit.log").read_text(encoding="utf-8"))["erased"] == made.digest


def test_that_the_new_scoring_retires_the_oldest_which_held_the_customer_too_is_no_failure(
    home: Path,
) -> None:
    score.score(home, MOMENT)  # the third: as many as are retained
    held = {path.name for path in whole(home)}
    made = erase(home, WHO, now=MOMENT)
    assert made.clean, as_text(made)
    assert {*made.files.scorings_removed} == held and len(held) == 3
    assert [path.name for path in whole(home)] == [made.files.scored_anew]


def test_everybody_else_stays_and_is_scored_as_if_they_had_never_been_there(
    home: Path, tmp_path: Path
) -> None:
    erase(home, WHO, now=MOMENT)
    fewer = shop_lines().loc[lambda lines: lines["customer_id"] != WHO]
    other = make_home(tmp_path / "never", fewer, contacts=contacts(fewer))
    stamp = score.score(other, MOMENT)
    ours, never = load(home / "lists" / Pointer.read(home).stamp), load(other / "lists" / stamp)
    assert ours.customers.all_names() == never.customers.all_names()
    assert np.array_equal(ours.scores.numbers, never.scores.numbers)
    assert search(home, "customer-c04").found


def test_they_stay_gone_through_ingest_and_scoring_and_what_comes_back_by_hand_goes_again(
    home: Path, shop_home: Path
) -> None:
    source = shop_home.parent / "source"
    with closing(Store.open(home)) as store:
        rights.forget(store, WHO, now=MOMENT)
        sweep(home, store)
        report = ingest(source, home, fresh=True, forgotten=Forgotten.of(home).among)
        assert list(report.erased.values())[0] > 0
        score.score(home, MOMENT)
        assert search(home, WHO).found == {}
        ingest(source, home, fresh=True)
        assert search(home, WHO).found
        assert sweep(home, store).warehouse
    assert search(home, WHO).found == {}


def test_who_is_erased_while_a_source_is_fetched_is_not_brought_back_by_it(
    home: Path, shop_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def fetched(source: str, *_: object, **__: object) -> Iterator[Path]:
        assert erase(home, WHO, now=MOMENT).clean
        yield Path(source)

    monkeypatch.setattr(remote, "at_hand", fetched)
    monkeypatch.setenv("RECOMPRA_HOME", str(home))
    recompra.data.ingest(str(shop_home.parent / "source"), fresh=True)
    assert search(home, WHO).found == {}
    assert search(home, "customer-c04").found


def test_a_scoring_that_the_watcher_went_back_to_meanwhile_is_replaced_before_it_goes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scored_and_back(*asked: Any) -> str:
        stamp = scored(*asked)
        if backs:
            backs.pop().move(home)
        return stamp

    backs, scored = [Pointer.read(home)], score.score
    monkeypatch.setattr(score, "score", scored_and_back)
    made = erase(home, WHO, now=MOMENT)
    assert made.clean, as_text(made)
    assert load(home / "lists" / Pointer.read(home).stamp).customer("customer-c04") >= 0


def test_a_file_that_goes_while_it_is_searched_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_late(path: Path) -> Any:
        reader = reader_of(path)
        path.unlink()
        return reader

    reader_of = remains._reader
    for name in ("a.txt", "b.csv", "c.npy", "d.parquet"):
        (tmp_path / name).write_text(WHO)
    with closing(sqlite3.connect(tmp_path / "e.db")) as db:
        db.execute("CREATE TABLE t (customer_id)")
    monkeypatch.setattr(remains, "_reader", read_late)
    assert search(tmp_path, WHO) == Search()


def test_a_file_that_cannot_be_searched_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.npy").write_text(WHO)
    with pytest.raises(ValueError, match="pickle"):
        search(tmp_path, WHO)


def test_the_watcher_cleans_the_files_after_an_erasure_by_http(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[Path] = []

    def here(module: str, place: Path) -> Any:
        assert module == "serving.persons.erasure"
        swept.append(place)
        return _Done(erasure.main(place))

    monkeypatch.setattr("serving.watcher._run", here)
    watcher = Watcher(home)
    watcher.look()
    assert swept == []
    with closing(Store.open(home)) as store:
        rights.forget(store, WHO, now=MOMENT)
    watcher.look()
    watcher.look()
    assert swept == [home.resolve()]
    assert search(home, WHO).found == {}


class _Done:
    stderr = ""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode


def test_where_the_scoring_cannot_be_made_anew_the_certificate_says_what_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CannotLearn("out of luck", "wait")

    serving = Pointer.read(home).stamp
    with monkeypatch.context() as broken:
        broken.setattr(FakeChurn, "predict", fail)
        made = erase(home, WHO, now=MOMENT)
        assert erasure.main(home) == 1  # so the watcher hears of it
    assert not made.clean and "out of luck" in (made.files.failed or "")
    assert {place.split("/")[1] for place in made.searched.found} == {serving}
    assert "left: lists/" in as_text(made)
    with closing(Store.open(home)) as store:
        assert erasure.due(home, store)
    assert erase(home, WHO, now=MOMENT).clean


@pytest.mark.parametrize(
    ("failed", "found", "n_rows", "clean"),
    [(None, {}, 0, True), ("out of luck", {}, 0, False), (None, {"x": 1}, 0, False), (None, {}, 1, False)],
)
def test_a_certificate_is_clean_where_all_was_done_and_nothing_is_left(
    failed: str | None, found: dict[str, int], n_rows: int, clean: bool
) -> None:
    files = SweptFiles(failed=failed)
    made = Certificate("d", "2024-06-01", {}, files, Search(found=found), n_rows)
    assert (made.clean, made.card()["clean"]) == (clean, clean)
    assert ("left: nothing" in as_text(made)) == (not found and not n_rows)


def test_who_was_never_there_is_erased_without_a_new_scoring(home: Path) -> None:
    made = erase(home, "customer-unheard-of", now=MOMENT)
    assert (made.clean, made.files.scored_anew, made.files.warehouse) == (True, None, {})


def test_a_scoring_holds_whom_it_names_in_a_table_alone(tmp_path: Path) -> None:
    scorings = [tmp_path / "theirs", tmp_path / "others"]
    for folder, name in zip(scorings, (WHO, "another"), strict=True):
        folder.mkdir()
        pd.DataFrame({"customer_id": [name, None]}).to_parquet(folder / "a.parquet")
    with closing(Store.open(tmp_path)) as store:
        rights.forget(store, WHO, now=MOMENT)
    assert erasure.holding(scorings, Forgotten.of(tmp_path)) == scorings[:1]


def test_a_search_finds_what_is_left_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    pd.DataFrame({"note": [f"called {WHO} twice", "x"]}).to_parquet(tmp_path / "deep" / "a.parquet")
    np.save(tmp_path / "b.npy", np.array([WHO.encode(), b"y"]))
    with closing(sqlite3.connect(tmp_path / "c.db")) as db:
        db.execute("CREATE TABLE tags (value TEXT)")
        db.execute("INSERT INTO tags VALUES (?)", (f"id={WHO}",))
        db.commit()
    (tmp_path / "d.csv").write_text(f"name,n\n{WHO},1\n")
    (tmp_path / "e.json").write_text(json.dumps({"best": [WHO]}))
    (tmp_path / "f.html").write_text(f"<td>{WHO}</td>")
    (tmp_path / "g.txt").write_text(f"{WHO}4 and x{WHO} are others")
    places = search(tmp_path, WHO).found
    assert {"c.db tags.value", "deep/a.parquet column note"} <= set(places)
    found = {place.split(" ")[0] for place in places}
    assert found == {"deep/a.parquet", "b.npy", "c.db", "d.csv", "e.json", "f.html"}


@pytest.mark.parametrize("who", ["17", "1234567", "ann17"])
def test_a_short_id_is_looked_for_where_ids_of_customers_stand(who: str, tmp_path: Path) -> None:
    pd.DataFrame({"CustomerId": [who, "2"], "product_id": ["2", who]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"row": [f'{{"buyer":"{who}"}}', f'{{"n":{who}}}']}).to_parquet(tmp_path / "b.parquet")
    np.save(tmp_path / "customers.npy", np.array([who.encode(), b"2"]))
    np.save(tmp_path / "products.npy", np.array([who.encode()]))
    with closing(sqlite3.connect(tmp_path / "c.db")) as db:
        db.execute("CREATE TABLE tags (customer_id TEXT, product_id TEXT)")
        db.executemany("INSERT INTO tags VALUES (?, ?)", [(who, "2"), ("2", who), ("3", who)])
        db.commit()
    (tmp_path / "d.csv").write_text(f"customer_id,n\n{who},1\n2,{who}\n{who}3,{who}\n")
    (tmp_path / "e.json").write_text(
        f'{{"customer_id": "{who}", "n": 1, "also": {{"customer_id": "{who}0"}}}}'
    )
    done = search(tmp_path, who)
    assert not done.everywhere
    assert sum(done.found.values()) == len(done.found) == 6
    assert not any("product" in place for place in done.found)


def test_while_the_store_is_away_nobody_can_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPRA_STORE_URL", f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(NotFound, match="only it knows who asked to be forgotten"):
        Forgotten.of(tmp_path)


def test_a_deleted_row_leaves_no_bytes_in_the_database_or_its_log(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        remember(tmp_path, WHO)  # while it is open the log stays
        assert WHO.encode() in b"".join(path.read_bytes() for path in tmp_path.glob("online.db*"))
        rights.forget(store, WHO, now=MOMENT)
        rights.scrub(store)
        assert WHO.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("online.db*"))


def test_whoever_deletes_overwrites_also_where_the_database_would_not(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store, store.engine.connect() as db:
        db.execute(sa.text("PRAGMA secure_delete = OFF"))
        rights.overwrite(db)
        assert db.execute(sa.text("PRAGMA secure_delete")).scalar_one() == 1


def test_a_search_finds_what_a_database_deleted_and_did_not_overwrite(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "c.db")) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("CREATE TABLE tags (value TEXT)")
        db.execute("INSERT INTO tags VALUES (?)", (f" {WHO} ",))
        db.commit()
        db.execute("DELETE FROM tags")
        db.commit()
    assert search(tmp_path, WHO).found == {"c.db (bytes)": 1}


def test_six_letters_are_enough_to_look_everywhere_and_a_hard_link_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("of ann-17")
    (tmp_path / "b.txt").hardlink_to(tmp_path / "a.txt")
    done = search(tmp_path, "ann-17")
    assert (done.everywhere, done.n_files, done.found) == (True, 1, {"a.txt (bytes)": 1})


def test_a_digest_is_of_the_salt_too() -> None:
    assert rights.digest_of(b"one", WHO) != rights.digest_of(b"another", WHO)


def test_a_schema_that_names_the_column_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"\tPRIMARY KEY (customer_id)\n)1\x18\x06\x17E index")
    assert search(tmp_path, "1").found == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"customer_id": "1"}',
        "{'customer_id': 1}",
        '"{\\"customer_id\\": \\"1\\"}"',
        "GET /x?customer_id=1",
        '{"customerId":"1"}',
        '{"customer_id": ["1"]}',
    ],
)
def test_a_short_id_is_found_wherever_a_field_says_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "some.log").write_text(f"{text}\n{text.replace('1', '12')}\n")
    assert search(tmp_path, "1").found == {"some.log (bytes)": 1}


def test_what_the_database_holds_goes_on_every_kind_of_database(database: str, tmp_path: Path) -> None:
    remember(tmp_path, WHO)
    remember(tmp_path, "another")
    with closing(Store.open(tmp_path)) as store:
        for n in (1, 0):
            gone = rights.forget(store, WHO, now=MOMENT)
            assert {gone[table] for table in ("contacts", "decisions", "events")} == {n}
        rights.scrub(store)
        assert [row["customer_id"] for row in store.everything(DECISIONS)] == ["another"]
    if database == "sqlite":
        assert Forgotten.of(tmp_path).among([WHO, "another"]).keys() == {WHO}
        assert Forgotten.of(tmp_path).without([WHO, "another"]) == ["another"]


def test_rows_that_an_earlier_version_kept_with_blanks_are_the_customers(
    database: str, tmp_path: Path
) -> None:
    for who in (f" {WHO}\u3000", f"{WHO} 2"):
        remember(tmp_path, who)
    with closing(Store.open(tmp_path)) as store:
        assert {table: len(rows) for table, rows in online(store, WHO).items()}["events"] == 1
        assert rights.forget(store, WHO, now=MOMENT)["events"] == 1
        assert [row["customer_id"] for row in store.everything(DECISIONS)] == [f"{WHO} 2"]
