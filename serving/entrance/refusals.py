"""Refusals: a status and a reason in words, never a stack trace."""

from typing import Any

import msgspec

from features.errors import Busy, Conflict, Gone, InputError, NotFound, RecompraError
from serving.online.view import DEAD
from serving.watching.logs import REQUEST_ID

RETRY = (("retry-after", "5"),)
FAILED = {
    500: "something went wrong here; the request_id finds it in the log",
    504: "the answer took too long; try again, or ask for less at once (fewer customers, days or rows)",
}


class Refused(Exception):
    """A request that is refused, with its status and the reason in words."""

    def __init__(
        self, status: int, error: str, *, detail: Any = None, headers: tuple[tuple[str, str], ...] = ()
    ):
        super().__init__(error)
        self.status, self.error, self.detail, self.headers = status, error, detail, headers

    def body(self) -> bytes:
        """Return the reason as JSON, with the request's id."""
        reason = {"error": self.error, "request_id": REQUEST_ID.get(), "detail": self.detail}
        return msgspec.json.encode({name: value for name, value in reason.items() if value is not None})


def refusal_for(error: Exception) -> Refused:
    """Convert an error into a status and a reason, without a stack trace."""
    if isinstance(error, InputError):
        return Refused(409 if isinstance(error, Conflict) else 400, str(error))
    if isinstance(error, NotFound):
        return Refused(410 if isinstance(error, Gone) else 404, str(error))
    if isinstance(error, DEAD):
        return store_unavailable()
    if isinstance(error, Busy):
        return Refused(503, str(error), headers=(("retry-after", "1"),))
    if isinstance(error, RecompraError):
        return Refused(500, error.message)
    return Refused(500, FAILED[500])


def store_unavailable() -> Refused:
    """Return the refusal for a store that is unavailable."""
    return Refused(503, "the online store is unavailable; try again", headers=RETRY)
