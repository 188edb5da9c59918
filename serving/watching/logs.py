"""Logs of a running service: one JSON object per line, on standard error; ``RECOMPRA_LOG=text`` for humans.

A line holds ``level``, ``at`` (UTC), ``logger``, ``message``; within a request its ``request_id``; with an
error the stack trace; and what a record has as ``extra={"fields": {...}}``. Nothing is set up on import:
whoever starts a process calls ``set_up``.
"""

import json
import logging
import logging.config
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
TEXT = "%(asctime)s [%(levelname)s] [%(name)s] %(message)s"
OTHERS = {"bentoml": "INFO", "uvicorn.error": "WARNING", "circus": "WARNING", "recompra": "INFO"}
"""Loggers whose level is not warning; those of libraries lose their own handlers."""

PASSED_ON = {"handlers": [], "propagate": True}


class JsonLines(logging.Formatter):
    """Formats any record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "level": record.levelname.lower(),
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": REQUEST_ID.get(),
            "exception": self.formatException(record.exc_info) if record.exc_info else "",
            **getattr(record, "fields", {}),
        }
        return json.dumps({name: value for name, value in line.items() if value != ""}, default=str)


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to standard error as it is at the moment of writing."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # an attribute there, looked up anew here
        """The stream for log lines."""
        return sys.stderr


def set_up() -> None:
    """Send all output of this process through one handler: libraries, warnings and uncaught errors."""
    text = os.environ.get("RECOMPRA_LOG") == "text"
    formatter = {"format": TEXT} if text else {"()": JsonLines}
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"()": StandardError, "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {name: {"level": level, **PASSED_ON} for name, level in OTHERS.items()},
    }
    logging.config.dictConfig(config)
    logging.captureWarnings(True)
    if not text:
        sys.excepthook = _last_words


def in_json() -> bool:
    """Return whether ``set_up`` was called in this process, and made its lines JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("recompra").critical(
        "this process ends: %s", kind.__name__, exc_info=(kind, error, trace)
    )
