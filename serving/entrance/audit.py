"""The audit log of requests to CRM and admin endpoints, without any customer data.

One JSON line per request in ``<home>/audit.log``, appended in one write, so that lines of several workers do
not mix. It names the key, the path and the outcome, never bodies or customer ids, so an erasure has nothing
to erase here: it is logged by the digest that the store keeps of the id.
"""

import json
import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

log = logging.getLogger("recompra.serving")
FILE = "audit.log"


class Audit:
    """The open log of one worker."""

    def __init__(self, home: Path) -> None:
        self._handle = os.open(home / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *, at: datetime, key_id: str, path: str, status: int, request_id: str) -> None:
        """Append a line; a full disk is logged, and does not fail the request."""
        line = {"at": at.isoformat(), "key": key_id, "path": path, "status": status, "request": request_id}
        self._append(line)

    def erased(self, digest: str, *, at: datetime, what: Mapping[str, object]) -> None:
        """Append that a customer, identified only by their id's digest, was erased, and what was removed."""
        self._append({"at": at.isoformat(), "erased": digest, **what})

    def _append(self, line: Mapping[str, object]) -> None:
        try:
            os.write(self._handle, (json.dumps(line) + "\n").encode())
        except OSError as error:
            log.error("the audit log cannot be written: %s", error)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
