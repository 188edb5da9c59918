"""The champions of the model registry, on this machine's disk. Only this module of serving uses MLflow.

``<home>/models/<name>/<version>/`` holds a champion as ``Model.save`` wrote it, written atomically. On a
read-only disk a champion is read from its place in the registry.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from features.errors import ArtefactError, NotFound, first_line
from features.storage.database import is_missing, to_read
from features.storage.files import MAKE_ROOM, is_full
from models.kinds import ScoreModel
from models.model import Model
from models.registry import CHAMPION, MODELS, kept_in, model_class, registered, tracking_uri

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Champion:
    """The version of a model in service."""

    name: str
    version: str
    source: str
    """URI of its folder in the registry's store."""


class Registry:
    """A reader of the registry of a home, or of the tracking server in ``RECOMPRA_TRACKING_URI``."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.uri = tracking_uri(self.home)
        self._check()
        with self._asked():
            self._client = _client(self.uri)

    def _check(self) -> None:
        """Raise ``NotFound`` if the database's file is missing, ``ArtefactError`` if it cannot be read."""
        if is_missing(self.uri):
            raise NotFound(f"no model has been trained in {self.home}", "run `recompra train` first")
        to_read(self.uri)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # MLflow's own errors, or SQLAlchemy's, alembic's, requests'
            message = f"the registry cannot be read: {first_line(error)}"
            raise NotFound(message, "start it, or correct RECOMPRA_TRACKING_URI") from error

    def champions(self) -> dict[str, Champion]:
        """Return the champion of every model that has one, by name, in one read of the registry.

        Raises ``NotFound`` if it is unavailable.
        """
        self._check()
        champions = {}
        with self._asked():
            for model in registered(self._client):
                version = str(model.aliases.get(CHAMPION, ""))
                if version:
                    source = self._client.get_model_version(model.name, version).source
                    champions[model.name] = Champion(model.name, version, kept_in(self.home, source))
        return {name: champions[name] for name in MODELS if name in champions}

    def fetch(self, champion: Champion) -> Path:
        """Return the champion's folder, downloaded and checked on first use.

        In a read-only home it is the registry's own folder, or a temporary one. Raises ``ArtefactError`` if
        it holds no model.
        """
        folder = self.home / "models" / champion.name / champion.version
        if not folder.is_dir():
            folder = self._download(champion, folder)
        if not (folder / "model.json").is_file():
            raise ArtefactError(
                f"{champion.name} v{champion.version} holds no model.json", "promote or train another version"
            )
        return folder

    def _download(self, champion: Champion, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        beside = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            if kept := os.access(self.home, os.W_OK):
                folder.parent.mkdir(parents=True, exist_ok=True)
                _sweep(folder)
            downloaded = Path(download_artifacts(artifact_uri=champion.source, tracking_uri=self.uri))
            if not kept:
                return downloaded
            shutil.copytree(downloaded, beside)
            os.replace(beside, folder)
        except Exception as error:  # MLflow raises whatever its stores raise
            shutil.rmtree(beside, ignore_errors=True)
            if folder.is_dir():
                return folder  # another process was faster
            message = f"{champion.name} v{champion.version} cannot be downloaded: {first_line(error)}"
            hint = MAKE_ROOM if is_full(error) else "promote or train another version"
            raise ArtefactError(message, hint) from error
        return folder

    def load(self) -> tuple[dict[str, Model], dict[str, str]]:
        """Return every champion, ready to predict, and its version; raise ``NotFound`` without any."""
        champions = self.champions()
        if not champions:
            raise NotFound("the registry holds no champion", "run `recompra train` first")
        return {name: self._load(champion) for name, champion in champions.items()}, versions_of(champions)

    def scoring(self, name: str) -> ScoreModel:
        """Return one champion that scores customers; raise ``NotFound`` if there is none of that name."""
        champions = self.champions()
        model = self._load(champions[name]) if name in champions else None
        if not isinstance(model, ScoreModel):
            raise NotFound(f"the registry holds no champion of {name}", "run `recompra train` first")
        return model

    def _load(self, champion: Champion) -> Model:
        return _load(
            model_class(champion.name), self.fetch(champion), name=champion.name, version=champion.version
        )


def scoring_on_disk(home: Path, versions: Mapping[str, str]) -> dict[str, ScoreModel]:
    """Return the models that score customers, in the versions in service, without reading the registry.

    Raises ``ArtefactError`` if one is not on this machine, or cannot be loaded.
    """
    classes = {name: model_class(name) for name in versions}
    return {
        name: _load(model, home / "models" / name / versions[name], name=name, version=versions[name])
        for name, model in classes.items()
        if issubclass(model, ScoreModel)
    }


def _load(model: type[M], folder: Path, *, name: str, version: str) -> M:
    try:
        return model.load(folder)
    except (KeyError, ValueError, TypeError, OSError) as error:
        message = f"{name} v{version} cannot be loaded ({first_line(error)})"
        raise ArtefactError(message, "promote or train another version") from error


def _sweep(folder: Path) -> None:
    """Remove what interrupted downloads left, except those of running processes."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        process = left.name.rpartition(".")[2]
        if process == str(os.getpid()) or not _lives(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def versions_of(champions: Mapping[str, Champion]) -> dict[str, str]:
    """Return the version of each champion, by name."""
    return {name: champion.version for name, champion in champions.items()}


def _client(uri: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri, uri)
