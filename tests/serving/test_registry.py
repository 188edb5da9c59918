import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.fakes import FakeChurn, FakeConfig

from features.errors import ArtefactError, NotFound
from serving import registry
from serving.registry import Champion, Registry, versions_of
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


def test_a_champion_is_downloaded_once_and_loads(reader: Registry) -> None:
    models, versions = reader.load()
    assert isinstance(models["churn"], FakeChurn)
    assert versions == {"churn": "2"}
    folder = reader.home / "models" / "churn" / "2"
    before = folder.stat().st_mtime_ns
    assert reader.fetch(reader.champions()["churn"]) == folder
    assert folder.stat().st_mtime_ns == before


def test_a_version_without_its_model_is_refused(reader: Registry) -> None:
    champion = reader.champions()["churn"]
    (reader.fetch(champion) / "model.json").unlink()
    with pytest.raises(ArtefactError, match=r"churn v2 holds no model\.json"):
        reader.fetch(champion)


def test_a_version_that_cannot_be_read_is_refused_in_words(reader: Registry) -> None:
    champion = reader.champions()["churn"]
    (reader.fetch(champion) / "model.json").write_text('{"name": "churn"}')
    with pytest.raises(ArtefactError, match=r"churn v2 cannot be loaded \(KeyError"):
        reader.load()


def test_a_version_that_is_gone_is_refused_and_leaves_nothing(reader: Registry) -> None:
    lost = Champion("churn", "9", (reader.home / "nothing").as_uri())
    with pytest.raises(ArtefactError, match="churn v9 cannot be downloaded"):
        reader.fetch(lost)
    assert not list((reader.home / "models" / "churn").iterdir())


def test_a_new_champion_is_noticed_by_the_same_reader(reader: Registry, tracking: Tracking) -> None:
    tracking.promote("churn", 1, now=NOW, reason="back")
    assert versions_of(reader.champions()) == {"churn": "1"}
    tracking.promote("churn", 2, now=NOW, reason="better")


def test_without_a_registry_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="recompra train"):
        Registry(tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
