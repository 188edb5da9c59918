"""MLflow's client as we use it: quiet, with errors of one line and a database created atomically."""

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from features.errors import RecompraError, first_line
from features.storage.database import sqlite_file, sqlite_url
from features.storage.files import locked

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
"""No telemetry, no progress bars, short retries; variables already set take precedence."""


def client_of(uri: str) -> Any:
    """Return MLflow's client of a tracking server or database; a missing database is created.

    All its errors, now or later, are raised as a ``RecompraError`` of one line.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    return OneLineErrors(uri, lambda: _opened(uri))


def _opened(uri: str) -> Any:
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if (database := sqlite_file(uri)) and not database.is_file():
        database.parent.mkdir(parents=True, exist_ok=True)
        with locked(database.with_name(f"{database.name}.lock")):
            if not database.is_file():
                _make(database)
    return MlflowClient(uri, uri)


def _make(database: Path) -> None:
    """Let MLflow create its database atomically: it would refuse a half-made one forever.

    The caller holds its lock, so what earlier attempts left belongs to nobody.
    """
    from mlflow import MlflowClient

    for left in database.parent.glob(f".{database.name}.*"):
        shutil.rmtree(left)
    with TemporaryDirectory(prefix=f".{database.name}.", dir=database.parent) as folder:
        part = Path(folder) / database.name
        MlflowClient(sqlite_url(part))
        part.replace(database)


class OneLineErrors:
    """MLflow's client whose errors are raised as a ``RecompraError`` of one line."""

    def __init__(self, uri: str, opened: Callable[[], Any]) -> None:
        self._uri = uri
        self._client = self._call(opened)

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, getattr(self._client, name))

    def _call(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return function(*values, **named)
        except MlflowException as error:
            cause = getattr(error.__cause__, "orig", None) or error  # the database's own error, if it is one
            message = f"the registry at {self._uri} cannot be used: {first_line(cause)}"
            hint = "check that it runs, with this version of MLflow, and RECOMPRA_TRACKING_URI"
            raise RecompraError(message, hint) from error
