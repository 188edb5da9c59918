"""The record of every training run and the registry of models: MLflow, written only here.

One experiment; one run per model; one registered model per name, with the aliases ``champion`` and
``challenger``. The source of a version is its run's folder ``model/``: plain data as ``Model.save`` wrote it.
``RECOMPRA_TRACKING_URI`` names a tracking server; without it ``<home>/mlflow.db`` and ``<home>/artifacts``
are used.
"""

import math
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from features.errors import ArtefactError, Busy, NotFound, SettingsError
from features.storage.database import check_takes_writes, is_missing, sqlite_file, to_read
from features.storage.files import locked
from models.registry import CHALLENGER, CHAMPION, MODELS, kept_in, registered, tracking_uri
from training.client import client_of
from training.ledger import Ledger
from training.relocate import relocate

EXPERIMENT = "recompra"
HOME_TAG = "recompra.home"


@dataclass(frozen=True)
class Version:
    """One registered version of a model."""

    name: str
    version: int
    run_id: str
    source: str
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Run:
    """An open run, to which everything logged here belongs."""

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters; texts too long for MLflow are cut."""
        from mlflow.entities import Param

        params = [Param(key, str(value)[:6000]) for key, value in values.items()]
        self._client.log_batch(self.run_id, params=params)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Log figures, without those that are NaN."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        known = [Metric(_key(key), value, now, 0) for key, value in values.items() if not math.isnan(value)]
        for start in range(0, len(known), 500):
            self._client.log_batch(self.run_id, metrics=known[start : start + 500])

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(self.run_id, key, value)

    def files(self, folder: Path, into: str = "") -> None:
        """Log everything in ``folder``."""
        self._client.log_artifacts(self.run_id, str(folder), into or None)


class Tracking:
    """The runs and models of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.uri = tracking_uri(self.home)
        self.ledger = Ledger(home)
        self.owner = f"{socket.gethostname()}:{self.home}"

    @classmethod
    def existing(cls, home: Path) -> Self:
        """Return the registry of a home to read or change; raise ``NotFound`` if nothing was trained."""
        tracking = cls(home)
        if is_missing(tracking.uri):
            raise NotFound(f"no model has been trained in {tracking.home}", "run `recompra train` first")
        to_read(tracking.uri)
        return tracking

    @cached_property
    def _client(self) -> Any:
        return client_of(self.uri)

    @cached_property
    def _experiment(self) -> str:
        database, own = sqlite_file(self.uri), self.home / "mlflow.db"
        root = (self.home / "artifacts").as_uri() if database else None
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=root))
        if database == own and experiment.artifact_location != root:
            relocate(own, experiment.artifact_location, new=str(root))
        return str(experiment.experiment_id)

    @contextmanager
    def exclusive(self, *, now: datetime) -> Iterator[None]:
        """Lock this home's training; mark runs of dead processes KILLED, and make the ledger agree."""
        self.home.mkdir(parents=True, exist_ok=True)
        message = f"another training is at work in {self.home}"
        with locked(self.home / "train.lock", Busy(message, "wait for it, or use another RECOMPRA_HOME")):
            self._close_dead_runs()
            self._reconcile(now)
            yield

    def _close_dead_runs(self) -> None:
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'"):
            if run.data.tags.get(HOME_TAG) == self.owner:  # MLflow's queries do not accept quotes in a value
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _reconcile(self, now: datetime) -> None:
        with self._changing():
            current = {entry.name: entry.version for entry in self.ledger.history() if entry.until_at is None}
            for model in registered(self._client):
                version = int(model.aliases.get(CHAMPION, 0))
                if version and current.get(model.name) != version:
                    self.ledger.succeed(model.name, version, now=now, reason="found in the registry")

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
        """Open a run of one model: FINISHED at the end, FAILED on an error, KILLED if interrupted."""
        all_tags = {HOME_TAG: self.owner, "recompra.model": name, **tags}
        made = self._client.create_run(self._experiment, run_name=name, tags=all_tags)
        run = Run(self._client, made.info.run_id)
        status = "KILLED"
        try:
            yield run
            status = "FINISHED"
        except Exception as error:  # noted on the run, then raised again
            status = "FAILED"
            run.tag("recompra.error", str(error)[:1000])
            raise
        finally:
            self._client.set_terminated(run.run_id, status)

    def register(self, name: str, run_id: str) -> Version:
        """Register the model of a finished run as the next version of ``name``, and as its challenger.

        Raises ``SettingsError`` for a run that has not finished.
        """
        info = self._client.get_run(run_id).info
        if info.status != "FINISHED":
            raise SettingsError(
                f"only a finished run can be registered, run {run_id} is {info.status}", "train again"
            )
        if self._registered(name) is None:
            self._client.create_registered_model(name)
        made = self._client.create_model_version(name, f"{info.artifact_uri}/model", run_id)
        self._client.set_registered_model_alias(name, CHALLENGER, str(made.version))
        return self.version(name, int(made.version))

    def promote(self, name: str, version: int, *, now: datetime, reason: str) -> Version:
        """Make ``version`` the champion from ``now`` on; the ledger records when and why."""
        with self._changing():
            return self._promote(name, version, now=now, reason=reason)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one process at a time change champions, in registry and ledger: both or none."""
        for url in (self.uri, self.ledger.url):
            check_takes_writes(url)
        with locked(self.home / "champions.lock"):
            yield

    def _promote(self, name: str, version: int, *, now: datetime, reason: str) -> Version:
        chosen = self.version(name, version)
        self._client.set_registered_model_alias(name, CHAMPION, str(version))
        if CHALLENGER in chosen.aliases:
            self._client.delete_registered_model_alias(name, CHALLENGER)
        self.ledger.succeed(name, version, now=now, reason=reason)
        return self.version(name, version)

    def rollback(self, name: str, *, now: datetime, reason: str = "") -> Version:
        """Restore the version that the champion replaced; raise ``NotFound`` if there was none."""
        with self._changing():
            current = self.champion(name)
            target = self.ledger.before_champion(name)
            if current is None or target is None:
                raise NotFound(f"{name} has no earlier champion to go back to", self._versions_hint(name))
            why = f"rollback from v{current.version}" + (f": {reason}" if reason else "")
            return self._promote(name, target, now=now, reason=why)

    def names(self) -> list[str]:
        """Return every model of ours that is registered."""
        return sorted(model.name for model in registered(self._client))

    def versions(self, name: str) -> list[Version]:
        """Return every version of a model, newest first; empty if it is not registered."""
        model = self._registered(name)
        if model is None:
            return []
        listed = self._client.search_model_versions(f"name = '{name}'", order_by=["version_number DESC"])
        return [self._version(version, model.aliases) for version in listed]

    def version(self, name: str, version: int) -> Version:
        """Return one version; raise ``NotFound`` if it does not exist."""
        versions = {known.version: known for known in self.versions(name)}
        if version not in versions:
            raise NotFound(f"no version {version} of {name}", self._versions_hint(name))
        return versions[version]

    def champion(self, name: str) -> Version | None:
        """Return the version in service, or None."""
        return self._by_alias(name, CHAMPION)

    def challenger(self, name: str) -> Version | None:
        """Return the newest version that has not become champion, or None."""
        return self._by_alias(name, CHALLENGER)

    def chosen(self, name: str, numbers: Sequence[int]) -> list[Version]:
        """Return the versions with those numbers; if none are given, the champion and the challenger.

        Raises ``NotFound`` if there are none.
        """
        if numbers:
            return [self.version(name, number) for number in numbers]
        versions = [
            version for version in (self.champion(name), self.challenger(name)) if version is not None
        ]
        if not versions:
            raise NotFound(f"no champion or challenger of {name}", self._versions_hint(name))
        return versions

    def metrics(self, version: Version) -> dict[str, float]:
        """Return the figures of the run a version came from."""
        return dict(self._client.get_run(version.run_id).data.metrics)

    def fetch(self, version: Version, into: Path) -> Path:
        """Return the folder of a version's artefact, downloaded ``into`` one if it is not on this machine.

        Raises ``ArtefactError`` if it no longer exists.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        source = kept_in(self.home, version.source)
        target = None if source.startswith("file:") else str(into)
        try:
            return Path(download_artifacts(artifact_uri=source, dst_path=target, tracking_uri=self.uri))
        except (MlflowException, OSError) as error:
            message = f"the artefact of {version} is not in {source}"
            raise ArtefactError(message, "promote or train another version") from error

    def _versions_hint(self, name: str) -> str:
        """Return a hint with the existing versions of a model; if it has none, with the models."""
        if versions := self.versions(name):
            return f"there are {', '.join(f'v{known.version}' for known in reversed(versions))}"
        known = ", ".join(self.names())
        return f"trained are {known}" if known else "run `recompra train` first"

    def _registered(self, name: str) -> Any:
        if name not in MODELS:
            return None
        return next(iter(self._client.search_registered_models(f"name = '{name}'")), None)

    def _by_alias(self, name: str, alias: str) -> Version | None:
        return next((version for version in self.versions(name) if alias in version.aliases), None)

    def _version(self, entity: Any, aliases: Mapping[str, Any]) -> Version:
        number = int(entity.version)
        own = tuple(sorted(alias for alias, version in aliases.items() if int(version) == number))
        return Version(entity.name, number, entity.run_id, entity.source, own)


def _key(name: str) -> str:
    """Return a name that MLflow accepts: ``all/ndcg@10`` becomes ``all/ndcg_at_10``."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_").replace("%", "_percent"))
