"""Who comes in: a pure-ASGI middleware in front of every path, closed by default.

Only liveness and readiness are open. Everything else needs a key of the right scope, a small body, and a
request of the right form; then it is passed on, except that the hot routes are answered right here, by the
same functions.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from time import perf_counter
from typing import Any

import msgspec
from pydantic import ValidationError

from features.errors import Conflict, Gone, InputError, NotFound, RecompraError
from serving.api import Request
from serving.endpoints import BY_PATH, Endpoint
from serving.entrance.crew import Busy
from serving.entrance.keys import SCOPES, Key
from serving.entrance.limits import Limits
from serving.entrance.openapi import document
from serving.entrance.quick import FAULTS, reader
from serving.house import House
from serving.online.view import DEAD
from serving.state import State
from serving.storefront import answers
from serving.watching.logs import REQUEST_ID
from serving.watching.meters import CONTENT_TYPE, Meters
from serving.watching.traces import Traces, answered
from serving.watching.watched import exposition

log = logging.getLogger("recompra.serving")
access = logging.getLogger("recompra.access")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1_000_000
BODY_SECONDS = 5.0
"""A body that has not come by then is not waited for."""
FLUSH_SECONDS = 0.2
"""So late another worker's ``/metrics`` may tell of a request."""
ADMITTED = "recompra.admitted"
"""Marks, in its scope, a request that the doors let in: no client can set it."""
JSON = b"application/json"
JSON_TEXT = JSON.decode()
OPEN = ("/livez", "/healthz", "/readyz")
RETRY = (("retry-after", "5"),)
AUDITED = frozenset(path for path, endpoint in BY_PATH.items() if "storefront" not in endpoint.scopes)
"""What only the CRM and administrators may ask is written down: see ``serving.entrance.audit``."""
READABLE = {"/metrics": ("admin",), "/openapi.json": SCOPES}
HOT: dict[str, Callable[[State, Any], Mapping[str, Any]]] = {"/recommend": answers.recommended}
READERS = {path: reader(BY_PATH[path].request) for path in HOT}


class Refused(Exception):
    """A request that goes no further: its status, and the reason in words."""

    def __init__(
        self, status: int, error: str, *, detail: Any = None, headers: tuple[tuple[str, str], ...] = ()
    ):
        super().__init__(error)
        self.status, self.error, self.detail, self.headers = status, error, detail, headers

    def body(self) -> bytes:
        """Return the reason as JSON, with the id of the request it belongs to."""
        told = {"error": self.error, "request_id": REQUEST_ID.get(), "detail": self.detail}
        return msgspec.json.encode({name: value for name, value in told.items() if value is not None})


@dataclass
class Visit:
    """One request on its way through."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    send: Send
    request_id: str
    started: float
    status: int = 0
    key_id: str = ""
    state: State | None = None
    answer: Mapping[str, Any] | None = None
    failed: int = 0
    """Where the framework gave up: its status, told in our words."""

    async def reply(
        self, status: int, body: bytes, kind: bytes = JSON, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Answer right here."""
        self.status = status
        lines = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request_id.encode()),
        ]
        if headers:
            lines += [(name.encode(), value.encode()) for name, value in headers]
        await self.send({"type": "http.response.start", "status": status, "headers": lines})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, refused: Refused) -> None:
        """Say why not."""
        await self.reply(refused.status, refused.body(), headers=refused.headers)

    async def relay(self, message: Message) -> None:
        """Pass an answer of the service on, with the request's id."""
        if message.get("status") in FAILED:
            self.failed = message["status"]
        if self.failed:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in HIDDEN]
            message["headers"] = [*kept, (b"x-request-id", self.request_id.encode())]
        await self.send(message)


FAILED = {
    500: "something went wrong here; the request_id finds it in the log",
    504: "the answer took too long",
}
HIDDEN = (b"server", b"x-bentoml-request-id")


class Doors:
    """The middleware. ``hot=False`` lets the service answer every route, to compare the two."""

    def __init__(self, app: App, *, house: House, clock: Callable[[], datetime], hot: bool = True) -> None:
        self.app = self.inside = app
        self.house, self.clock, self.meters = house, clock, Meters()
        self.hot = HOT if hot else {}
        self._flushing = False
        self.limits = Limits(int(os.environ.get("RECOMPRA_WORKERS", "1")))
        self.tells = 0 if os.environ.get("RECOMPRA_ACCESS_LOG") == "1" else 400
        self.traces = Traces.asked_for()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one connection in, or tell it why not."""
        if scope["type"] == "http" and ADMITTED not in scope:
            return await self._http(scope, receive, send)
        if scope["type"] == "lifespan":
            self.step_forward(scope.get("app"))
        if scope["type"] in ("http", "lifespan"):
            await self.inside(scope, receive, send)
        if scope["type"] == "lifespan":
            self.meters.flush()

    def step_forward(self, framework: Any) -> None:
        """Stand before the framework's own middlewares too: they cost more than a ready list does.

        Where it is not built as expected, the doors stay where they are, as closed as ever.
        """
        stack = getattr(framework, "middleware_stack", None)
        if stack is not None and stack is not self:
            self.app, framework.middleware_stack = stack, self

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        visit = Visit(scope, headers, send, _request_id(headers), perf_counter())
        REQUEST_ID.set(visit.request_id)
        try:
            await self._visit(visit, receive)
        except Refused as refused:
            await visit.refuse(refused)
        except Exception as error:  # the outermost door: logged whole, answered without a trace
            log.exception("request %s failed", visit.request_id)
            if visit.status:
                raise
            await visit.refuse(trouble(error))
        path = scope["path"]
        if path in AUDITED:
            self._audit(visit)
        path = path if path in BY_PATH or path in READABLE or path in OPEN else "other"
        seconds = perf_counter() - visit.started
        self.meters.request(path, visit.status, seconds)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        if visit.status >= self.tells and path not in OPEN:
            _tell(visit, path, seconds)
        if self.traces is not None and path not in OPEN:
            self._trace(self.traces, visit, path, seconds)

    def _flush(self) -> None:
        self._flushing = False
        self.meters.flush()
        self.meters.look(self.house)

    def _audit(self, visit: Visit) -> None:
        self.house.audit.write(
            at=self.clock(),
            key_id=visit.key_id,
            path=visit.scope["path"],
            status=visit.status,
            request_id=visit.request_id,
        )

    def _trace(self, traces: Traces, visit: Visit, path: str, seconds: float) -> None:
        said = answered(visit.answer, visit.state.snapshot if visit.state else None)
        told = {"recompra.request_id": visit.request_id, **said}
        traces.tell(visit.scope, visit.status, seconds, path=path, **told)

    async def _visit(self, visit: Visit, receive: Receive) -> None:
        path, method = visit.scope["path"], visit.scope["method"]
        if path in OPEN and method in ("GET", "HEAD"):
            return await self._health(visit)
        self.house.sync()
        key = self._key(visit.headers)
        visit.key_id = key.key_id
        if (seconds := self.limits.wait(key, visit.started)) > 0:
            told = f"this key may ask {key.per_second:g} times a second"
            raise Refused(429, told, headers=(("retry-after", str(ceil(seconds))),))
        if path in OPEN:
            raise Refused(405, f"{path} takes a GET", headers=(("allow", "GET, HEAD"),))
        if path in READABLE:
            return await self._read(visit, key)
        endpoint = BY_PATH.get(path)
        if endpoint is None:
            raise Refused(404, f"there is nothing at {path[:100]!r}", detail=sorted(BY_PATH))
        if method != "POST":
            raise Refused(405, f"{path} takes a POST", headers=(("allow", "POST"),))
        _admit(key, endpoint.scopes)
        body = await _body(visit.headers, receive)
        if endpoint.stored and self.house.view is not None and self.house.view.down:
            raise _away()
        await self._answer(visit, endpoint, body, receive)

    async def _answer(self, visit: Visit, endpoint: Endpoint, body: bytes, receive: Receive) -> None:
        state, function = self._serving(), self.hot.get(endpoint.path)
        visit.state = state
        if function is None:
            parse(endpoint.request, body)
            visit.scope[ADMITTED] = True
            await self.app(visit.scope, _replay(body, receive), visit.relay)
            if visit.failed:
                raise Refused(
                    visit.failed, FAILED[visit.failed], headers=RETRY if visit.failed == 504 else ()
                )
            return
        visit.answer = answer = function(state, read(endpoint, body))
        self.meters.list_answered(answer["list"], answer["answered_from"], perf_counter() - visit.started)
        await visit.reply(200, msgspec.json.encode(answer))

    def _serving(self) -> State:
        if self.house.state is None:
            raise Refused(503, f"{self.house.status()['refused']}", headers=RETRY)
        return self.house.state

    def _key(self, headers: Mapping[bytes, bytes]) -> Key:
        presented = headers.get(b"authorization", b"")
        view = self.house.view
        key = view.holder(presented) if view is not None else None
        if key is None:
            told = "this key is not known, or was revoked" if presented else "no key was given"
            hint = "send `Authorization: Bearer <key>`; `recompra keys create` makes one"
            raise Refused(401, f"{told}. Hint: {hint}", headers=(("www-authenticate", "Bearer"),))
        return key

    async def _read(self, visit: Visit, key: Key) -> None:
        path = visit.scope["path"]
        if visit.scope["method"] != "GET":
            raise Refused(405, f"{path} takes a GET", headers=(("allow", "GET"),))
        _admit(key, READABLE[path])
        if path == "/metrics":
            self.meters.look(self.house)
            told = self.meters.text() + exposition(self.house.home, self.clock())
            return await visit.reply(200, told, CONTENT_TYPE.encode())
        await visit.reply(200, document())

    async def _health(self, visit: Visit) -> None:
        if visit.scope["path"] != "/readyz":
            return await visit.reply(200, b'{"alive":true}')
        status = self.house.status()
        await visit.reply(200 if status["ready"] else 503, msgspec.json.encode(status))


def read(endpoint: Endpoint, body: bytes) -> Any:
    """Read a hot route's request quickly; what is wrong with it is left to ``parse`` to say."""
    try:
        return READERS[endpoint.path](body)
    except FAULTS:
        return parse(endpoint.request, body)


def parse(kind: type[Request], body: bytes) -> Request:
    """Read a request; raise ``Refused`` (400) naming the field and what is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        detail = [
            {"field": ".".join(str(part)[:100] for part in fault["loc"]), "problem": fault["msg"]}
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        first = detail[0]
        told = f"{first['field']}: {first['problem']}" if first["field"] else first["problem"]
        raise Refused(400, told, detail=detail[:20]) from None


def trouble(error: Exception) -> Refused:
    """Turn what went wrong into a status and a reason, without a trace of our insides."""
    if isinstance(error, InputError):
        return Refused(409 if isinstance(error, Conflict) else 400, str(error))
    if isinstance(error, NotFound):
        return Refused(410 if isinstance(error, Gone) else 404, str(error))
    if isinstance(error, DEAD):
        return _away()
    if isinstance(error, Busy):
        return Refused(503, str(error), headers=(("retry-after", "1"),))
    if isinstance(error, RecompraError):
        return Refused(500, error.message)
    return Refused(500, FAILED[500])


def _away() -> Refused:
    return Refused(503, "the online store is away; try again", headers=RETRY)


def _tell(visit: Visit, path: str, seconds: float) -> None:
    """Log a request, without a word of what it held: neither path nor reason may name a customer."""
    level = logging.INFO if visit.status < 400 else logging.WARNING if visit.status < 500 else logging.ERROR
    fields = {"path": path, "status": visit.status, "ms": round(seconds * 1000, 3)}
    access.log(level, "%s %s", visit.status, path, extra={"fields": fields})


def _admit(key: Key, scopes: tuple[str, ...]) -> None:
    if not key.may(*scopes):
        have = ", ".join(sorted(key.scopes))
        raise Refused(403, f"this key opens {have}; here it takes {' or '.join(scopes)}")


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    if 0 < len(given) <= 64 and given.replace(b"-", b"").isalnum():
        return given.decode("ascii")
    return secrets.token_hex(8)


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Read the whole body, counting as it comes; raise ``Refused`` where it is too large, late or no JSON."""
    kind = headers.get(b"content-type", JSON)
    if kind != JSON and kind.split(b";")[0].strip().lower() != JSON:
        raise Refused(415, f"send the body as {JSON_TEXT} (curl --json)")
    size = headers.get(b"content-length", b"0")
    if size.isdigit() and int(size) > MAX_BODY:
        raise _too_large()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    late = loop.call_later(BODY_SECONDS, task.cancel)
    try:
        return await _whole(receive)
    except asyncio.CancelledError:
        if loop.time() < late.when():
            raise
        task.uncancel()
        told = f"the body did not come within {BODY_SECONDS:g} seconds"
        raise Refused(408, told, headers=(("connection", "close"),)) from None
    finally:
        late.cancel()


async def _whole(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(499, "the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _too_large()
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> Refused:
    return Refused(413, f"the body is larger than {MAX_BODY:,} bytes", headers=(("connection", "close"),))


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body to the service as if it had just come."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
