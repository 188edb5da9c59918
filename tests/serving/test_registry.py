import os
import resource
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.fakes import FakeChurn, FakeConfig

from features.errors import ArtefactError, NotFound
from models.registry import kept_in
from serving import registry
from serving.registry import Champion, Registry, versions_of
from training.relocate import URIS, relocate
from training.tracking import Tracking

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """Two versions of churn, the second one champion, and a popular that was never promoted."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("model")
    made = Tracking(home)
    FakeChurn(FakeConfig(), NOW).save(folder)
    for name in ("churn", "churn", "popular"):
        with made.run(name, {}) as run:
            run.files(folder, "model")
        made.register(name, run.run_id)
    made.promote("churn", 2, now=NOW, reason="better")
    return made


@pytest.fixture
def reader(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(registry, "model_class", lambda _: FakeChurn)
    shutil.rmtree(tracking.home / "models", ignore_errors=True)
    return Registry(tracking.home)


def test_champions_are_found_by_their_alias(reader: Registry) -> None:
    assert versions_of(reader.champions()) == {"churn": "2"}


def test_champions_are_found_where_others_keep_models_too(reader: Registry, monkeypatch) -> None:
    monkeypatch.setattr("models.registry.PAGE", 1)
    reader._client.create_registered_model("another's")
    assert versions_of(reader.champions()) == {"churn": "2"}
    reader._client.delete_registered_model("another's")


def test_a_champion_is_downloaded_once_and_loads(reader: Registry) -> None:
    models, versions = reader.load()
    assert isinstance(models["churn"], FakeChurn)
    assert versions == {"churn": "2"}
    folder = reader.home / "models" / "churn" / "2"
    before = folder.stat().st_mtime_ns
    assert reader.fetch(reader.champions()["churn"]) == folder
    assert folder.stat().st_mtime_ns == before


def test_a_home_that_takes_no_writes_has_its_champions_read_from_where_they_lie(
    reader: Registry, monkeypatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert isinstance(reader.scoring("churn"), FakeChurn)
    assert not (reader.home / "models").exists()


def test_a_registry_that_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(NotFound, match="the registry cannot be read: .*correct RECOMPRA_TRACKING_URI"):
        Registry(tmp_path).champions()


def test_a_version_without_its_model_is_refused(reader: Registry) -> None:
    champion = reader.champions()["churn"]
    (reader.fetch(champion) / "model.json").unlink()
    with pytest.raises(ArtefactError, match=r"churn v2 holds no model\.json"):
        reader.fetch(champion)


def test_a_version_that_cannot_be_read_is_refused_in_words(reader: Registry) -> None:
    champion = reader.champions()["churn"]
    (reader.fetch(champion) / "model.json").write_text('{"name": "churn"}')
    with pytest.raises(ArtefactError, match=r"churn v2 cannot be loaded \(no '"):
        reader.load()


def test_a_version_that_is_gone_is_refused_and_leaves_nothing(reader: Registry) -> None:
    lost = Champion("churn", "9", (reader.home / "nothing").as_uri())
    with pytest.raises(ArtefactError, match="churn v9 cannot be downloaded"):
        reader.fetch(lost)
    assert not list((reader.home / "models" / "churn").iterdir())


def test_a_disk_that_fills_up_while_a_champion_is_copied_is_told_as_such(reader: Registry) -> None:
    champion, (_, hard) = reader.champions()["churn"], resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        with pytest.raises(ArtefactError, match=r"churn v2 cannot be downloaded: .*Hint: free some space"):
            reader.fetch(champion)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert not list((reader.home / "models" / "churn").iterdir())


def test_a_new_champion_is_noticed_by_the_same_reader(reader: Registry, tracking: Tracking) -> None:
    tracking.promote("churn", 1, now=NOW, reason="back")
    assert versions_of(reader.champions()) == {"churn": "1"}
    tracking.promote("churn", 2, now=NOW, reason="better")


def test_without_a_registry_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="recompra train"):
        Registry(tmp_path)
    assert not (tmp_path / "mlflow.db").exists()


def uris(home: Path) -> set[str]:
    with closing(sqlite3.connect(home / "mlflow.db")) as db:
        return {row[0] for table, column in URIS for row in db.execute(f"SELECT {column} FROM {table}")}


@pytest.fixture
def moved(tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same home elsewhere, under a name with signs that SQL and URIs know."""
    monkeypatch.setattr(registry, "model_class", lambda _: FakeChurn)
    home = shutil.copytree(tracking.home, tmp_path / "100%_b c!")
    shutil.rmtree(home / "models", ignore_errors=True)
    return home


def test_a_home_that_was_moved_serves_and_goes_back_from_where_it_is(moved: Path) -> None:
    reader = Registry(moved)
    assert reader.champions()["churn"].source.startswith((moved / "artifacts").as_uri())
    assert reader.load()[1] == {"churn": "2"}
    Tracking(moved).promote("churn", 1, now=NOW, reason="back")
    assert reader.load()[1] == {"churn": "1"}


def test_reports_of_a_moved_home_read_its_own_files(moved: Path, tmp_path: Path) -> None:
    found = Tracking(moved)
    assert found.fetch(found.version("churn", 1), tmp_path).is_relative_to(moved)


def test_training_in_a_moved_home_writes_nothing_where_it_was(
    moved: Path, tracking: Tracking, tmp_path: Path
) -> None:
    before, found = sorted(tracking.home.rglob("*")), Tracking(moved)
    FakeChurn(FakeConfig(), NOW).save(tmp_path / "model")
    with found.exclusive(now=NOW), found.run("churn", {}) as run:
        run.files(tmp_path / "model", "model")
    found.promote("churn", found.register("churn", run.run_id).version, now=NOW, reason="newer")
    assert Registry(moved).load()[1] == {"churn": "3"}
    assert sorted(tracking.home.rglob("*")) == before
    assert not [uri for uri in uris(moved) if tracking.home.as_uri() in uri]


def test_uris_that_only_look_alike_stay(moved: Path, tracking: Tracking) -> None:
    before = uris(moved)
    relocate(moved / "mlflow.db", (tracking.home / "artifact").as_uri(), new="file:///elsewhere")
    assert uris(moved) == before


@pytest.mark.parametrize("source", ["mlflow-artifacts:/1/x/artifacts/model", "s3://b/1/x/artifacts/model"])
def test_what_lies_on_a_server_stays_there(tmp_path: Path, source: str) -> None:
    assert kept_in(tmp_path, source) == source


def test_a_registry_whose_file_is_gone_is_away_and_not_made_anew(reader: Registry) -> None:
    database = reader.home / "mlflow.db"
    database.rename(reader.home / "away.db")
    try:
        with pytest.raises(NotFound):
            reader.champions()
        assert not database.exists()
    finally:
        (reader.home / "away.db").rename(database)
    assert versions_of(reader.champions()) == {"churn": "2"}


def test_what_a_killed_download_left_is_swept_away_by_the_next(reader: Registry) -> None:
    champion = reader.champions()["churn"]
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, busy = (reader.home / "models" / "churn" / f".2.{process}" for process in (dead.pid, os.getppid()))
    for folder in (left, busy):
        folder.mkdir(parents=True)
    reader.fetch(champion)
    assert (left.exists(), busy.exists()) == (False, True)
