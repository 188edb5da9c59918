import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread

import pytest
import sqlalchemy as sa

from features.errors import Busy, NotFound, RecompraError, SettingsError
from features.storage.database import sqlite_url
from models.registry import MODELS
from training import client
from training.client import OneLineErrors
from training.tracking import Tracking

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """One registry for the module: making its database takes seconds. Each test uses its own model name."""
    return Tracking(tmp_path_factory.mktemp("home"))


@pytest.fixture
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model of ours, each test's own."""
    monkeypatch.setitem(MODELS, request.node.name[5:60], "")
    return request.node.name[5:60]


def logged(tracking: Tracking, name: str, folder: Path, **metrics: float) -> str:
    (folder / "model.json").write_text(json.dumps({"name": name}))
    with tracking.run(name, {}) as run:
        run.params({"config": "{}"})
        run.metrics(metrics)
        run.files(folder, "model")
    return run.run_id


def registered(tracking: Tracking, name: str, folder: Path, n: int = 1) -> None:
    for _ in range(n):
        tracking.register(name, logged(tracking, name, folder))


def test_a_registered_version_is_the_challenger_and_its_files_come_back(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path)
    version = tracking.challenger(name)
    assert version.version == 1
    assert json.loads((tracking.fetch(version, tmp_path) / "model.json").read_text()) == {"name": name}


def test_figures_come_back_under_names_that_mlflow_takes(tracking, name, tmp_path) -> None:
    run = logged(
        tracking, name, tmp_path, **{"all/ndcg@10": 0.4, "lapsed/lift@10%": 2.0, "none": float("nan")}
    )
    found = tracking.metrics(tracking.register(name, run))
    assert found == {"all/ndcg_at_10": 0.4, "lapsed/lift_at_10_percent": 2.0}


def test_promotion_moves_the_alias_and_writes_the_ledger(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path)
    tracking.promote(name, 1, now=NOW, reason="first version")
    assert tracking.champion(name).version == 1
    assert tracking.challenger(name) is None
    assert [entry[1:] for entry in tracking.ledger.history(name)] == [
        (1, datetime(2024, 5, 1), None, "first version")
    ]


def test_of_two_promotions_at_once_registry_and_ledger_name_the_same(
    tracking, name, tmp_path, monkeypatch
) -> None:
    def recorded_late(*version: object, **when: object) -> None:
        other.start()
        other.join(0.5)  # long enough to overtake, if nothing holds it
        record(*version, **when)

    registered(tracking, name, tmp_path, 2)
    first, second = Tracking(tracking.home), Tracking(tracking.home)
    record = first.ledger.succeed
    other = Thread(target=second.promote, args=(name, 2), kwargs={"now": NOW, "reason": "better"})
    monkeypatch.setattr(first.ledger, "succeed", recorded_late)
    first.promote(name, 1, now=NOW, reason="first version")
    other.join()
    current = [entry.version for entry in tracking.ledger.history(name) if entry.until_at is None]
    assert current == [tracking.champion(name).version]


def test_rolling_back_is_one_call(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path, 2)
    tracking.promote(name, 1, now=NOW, reason="first version")
    tracking.promote(name, 2, now=NOW, reason="better")
    assert tracking.rollback(name, now=NOW, reason="complaints").version == 1
    assert tracking.champion(name).version == 1
    assert tracking.ledger.history(name)[-1].reason == "rollback from v2: complaints"


def test_rolling_back_the_first_champion_is_refused(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path)
    tracking.promote(name, 1, now=NOW, reason="first version")
    with pytest.raises(NotFound, match="no earlier champion"):
        tracking.rollback(name, now=NOW)


def test_a_version_that_is_not_there_is_named_with_those_that_are(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path, 2)
    with pytest.raises(NotFound, match="there are v1, v2"):
        tracking.promote(name, 9, now=NOW, reason="")


def test_a_model_never_registered_has_no_versions(tracking) -> None:
    assert tracking.versions("nobody") == []
    assert tracking.champion("nobody") is None


def test_a_name_that_is_no_model_is_answered_with_those_there_are(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path)
    for ask in (
        lambda: tracking.chosen("o'x", []),
        lambda: tracking.rollback("o'x", now=NOW),
        lambda: tracking.promote("o'x", 1, now=NOW, reason=""),
    ):
        with pytest.raises(NotFound, match=f"o'x.* trained are .*{name}"):
            ask()


def test_our_models_are_found_and_nobody_elses_where_others_keep_theirs_too(
    tracking, name, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("models.registry.PAGE", 1)
    registered(tracking, name, tmp_path)
    tracking._client.set_registered_model_alias(name, "champion", "1")
    others = ("a" * 9, "z" * 9)
    for other in others:
        tracking._client.create_registered_model(other)
        tracking._client.create_model_version(other, str(tmp_path))
        tracking._client.set_registered_model_alias(other, "champion", "1")
    with tracking.exclusive(now=NOW):
        assert tracking.names() == [name]
    assert [entry.version for entry in tracking.ledger.history(name)] == [1]
    assert not any(tracking.ledger.history(other) for other in others)


def test_a_run_that_failed_says_why_and_cannot_be_registered(tracking, name) -> None:
    with pytest.raises(ValueError, match="broken"), tracking.run(name, {}) as run:
        raise ValueError("broken")
    with pytest.raises(SettingsError, match="is FAILED"):
        tracking.register(name, run.run_id)
    assert tracking.versions(name) == []


def test_an_interrupted_run_is_marked_killed(tracking, name) -> None:
    with pytest.raises(KeyboardInterrupt), tracking.run(name, {}) as run:
        raise KeyboardInterrupt
    assert tracking._client.get_run(run.run_id).info.status == "KILLED"


def test_an_alias_moved_by_other_hands_reaches_the_ledger(tracking, name, tmp_path) -> None:
    registered(tracking, name, tmp_path)
    tracking._client.set_registered_model_alias(name, "champion", "1")
    with tracking.exclusive(now=NOW):
        pass
    assert tracking.ledger.history(name)[-1].reason == "found in the registry"


def test_a_promotion_killed_before_its_ledger_reaches_it_with_the_next_training(
    tracking, name, tmp_path
) -> None:
    registered(tracking, name, tmp_path, 2)
    tracking.promote(name, 1, now=NOW, reason="first version")
    tracking._client.set_registered_model_alias(name, "champion", "2")
    for _ in range(2):
        with tracking.exclusive(now=NOW):
            pass
    assert [entry.version for entry in tracking.ledger.history(name)] == [1, 2]


def test_a_parameter_longer_than_mlflow_takes_is_cut(tracking, name) -> None:
    with tracking.run(name, {}) as run:
        run.params({"config": "x" * 10_000})
    assert len(tracking._client.get_run(run.run_id).data.params["config"]) == 6000


def test_a_registry_whose_making_was_cut_short_is_made_at_the_next_try(tmp_path) -> None:
    def cut(*statement: object) -> None:
        if "CREATE TABLE datasets" in str(statement[2]):
            raise KeyboardInterrupt

    sa.event.listen(sa.Engine, "after_cursor_execute", cut)
    try:
        with pytest.raises(KeyboardInterrupt):
            assert Tracking(tmp_path)._experiment
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", cut)
    (tmp_path / ".mlflow.db.left").mkdir()  # as a killed one leaves
    assert Tracking(tmp_path)._experiment
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_a_registry_that_two_homes_share_is_made_once(tmp_path, monkeypatch) -> None:
    def made_together(database: Path) -> None:
        made.append(database)
        with suppress(BrokenBarrierError):
            both.wait(1)
        make(database)

    made, both, make = [], Barrier(2), client._make
    monkeypatch.setattr(client, "_make", made_together)
    with ThreadPoolExecutor(2) as threads:
        assert len([*threads.map(client.client_of, [sqlite_url(tmp_path / "shared.db")] * 2)]) == 2
    assert made == [tmp_path / "shared.db"]


def test_a_registry_is_made_without_chatter(tmp_path) -> None:
    words = "from training.tracking import *; assert Tracking(Path(sys.argv[1]))._experiment"
    command = [sys.executable, "-c", f"import sys; {words}", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""


def _train_forever(home: Path, name: str) -> None:
    tracking = Tracking(home)
    with tracking.exclusive(now=NOW), tracking.run(name, {}):
        (home / "started").touch()
        time.sleep(60)


@pytest.fixture
def killed(tracking: Tracking, name: str) -> Iterator[Tracking]:
    assert tracking._experiment  # the database is made here, not in the process to be killed
    process = multiprocessing.get_context("spawn").Process(target=_train_forever, args=(tracking.home, name))
    process.start()
    while not (tracking.home / "started").exists():
        time.sleep(0.05)
    with pytest.raises(Busy, match="another training"), tracking.exclusive(now=NOW):
        pass
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    yield tracking


def test_a_killed_training_leaves_nothing_registered_and_its_run_is_marked(killed, name) -> None:
    with killed.exclusive(now=NOW):
        runs = killed._client.search_runs([killed._experiment], f"tags.`recompra.model` = '{name}'")
    assert [run.info.status for run in runs] == ["KILLED"]
    assert killed.versions(name) == []


def test_a_registry_that_cannot_be_reached_is_one_clear_error(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        RecompraError, match="the registry at http://127.0.0.1:9 cannot be used: nobody answers there"
    ):
        assert Tracking(tmp_path)._experiment


def test_a_registry_without_room_says_what_its_database_said() -> None:
    from mlflow.exceptions import MlflowException

    def full() -> None:
        full = sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
        raise MlflowException(f"(raised as a result of Query-invoked autoflush)\n{full}") from full

    with pytest.raises(RecompraError, match="cannot be used: database or disk is full"):
        OneLineErrors("sqlite:///mlflow.db", full)
