"""Access control: a pure-ASGI middleware in front of every path, closed by default.

Only liveness and readiness are open. Everything else needs a key of the right scope, a small body, and a
valid request; it is then passed on, except that the hot routes are answered right here, by the same
functions.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from math import ceil
from time import perf_counter
from typing import Any

import msgspec

from serving.endpoints import BY_PATH, Endpoint
from serving.entrance.bodies import body_of, parse, replay
from serving.entrance.exchange import JSON, Exchange, Receive, Scope, Send
from serving.entrance.keys import SCOPES, Key
from serving.entrance.limits import Limits
from serving.entrance.openapi import document
from serving.entrance.queries import body_of_query
from serving.entrance.quick import FAULTS, reader
from serving.entrance.refusals import FAILED, RETRY, Refused, refusal_for, store_unavailable
from serving.state import State
from serving.storefront import answers
from serving.watching.logs import REQUEST_ID
from serving.watching.metrics import CONTENT_TYPE, Metrics
from serving.watching.traces import Traces, answered
from serving.watching.watcher_metrics import watcher_metrics
from serving.worker import Worker

log = logging.getLogger("recompra.serving")
access = logging.getLogger("recompra.access")
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FLUSH_SECONDS = 0.2
"""Maximum delay until another worker's ``/metrics`` includes a request."""
ADMITTED = "recompra.admitted"
"""Marks an admitted request, in its scope, with its original method: no client can set it."""
OPEN = ("/livez", "/healthz", "/readyz")
AUDITED = frozenset(path for path, endpoint in BY_PATH.items() if "storefront" not in endpoint.scopes)
"""Requests to CRM and admin endpoints are logged: see ``serving.entrance.audit``."""
HOT: dict[str, Callable[[State, Any], Mapping[str, Any]]] = {"/recommend": answers.recommended}
READERS = {path: reader(BY_PATH[path].request) for path in HOT}
READABLE = {"/metrics": ("admin",), "/openapi.json": SCOPES}
PREFLIGHT = b"access-control-request-method"
NO_BROWSERS = (
    "ask from the shop's server: anybody can read a key in a web page, and it opens every customer's lists"
)
"""No origin is ever allowed (CORS): with a storefront key one can name any customer, and post orders."""


class AccessControl:
    """The middleware. With ``hot=False`` the service answers every route, to compare both."""

    def __init__(self, app: App, *, worker: Worker, clock: Callable[[], datetime], hot: bool = True) -> None:
        self.app = self.inside = app
        self.worker, self.clock, self.metrics = worker, clock, Metrics()
        self.hot = HOT if hot else {}
        self._flushing = False
        self.limits = Limits(int(os.environ.get("RECOMPRA_WORKERS", "1")))
        self.logged_from = 0 if os.environ.get("RECOMPRA_ACCESS_LOG") == "1" else 400
        self.traces = Traces.asked_for()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit one connection, or answer with the reason for refusing it."""
        if scope["type"] == "http" and ADMITTED not in scope:
            return await self._http(scope, receive, send)
        if scope["type"] == "lifespan":
            self._move_to_front(scope.get("app"))
        if scope["type"] in ("http", "lifespan"):
            await self.inside(scope, receive, send)
        else:  # a WebSocket: not supported
            await send({"type": "websocket.close"})
        if scope["type"] == "lifespan":
            self.metrics.flush()

    def _move_to_front(self, framework: Any) -> None:
        """Move in front of the framework's own middlewares, which cost more than a ready list does.

        If the framework is not built as expected, it stays inside them, equally closed.
        """
        stack = getattr(framework, "middleware_stack", None)
        if stack is not None and stack is not self:
            self.app, framework.middleware_stack = stack, self

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        exchange = Exchange(scope, headers, send, _request_id(headers), perf_counter())
        REQUEST_ID.set(exchange.request_id)
        try:
            await self._handle(exchange, receive)
        except Refused as refused:
            await exchange.refuse(refused)
        except Exception as error:  # the outermost handler: logged in full, answered without a trace
            log.exception("request %s failed", exchange.request_id)
            if exchange.status:
                raise
            await exchange.refuse(refusal_for(error))
        path = scope["path"]
        if path in AUDITED:
            self._audit(exchange)
        path = path if path in BY_PATH or path in READABLE or path in OPEN else "other"
        seconds = perf_counter() - exchange.started
        self.metrics.request(path, exchange.status, seconds=seconds)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        if exchange.status >= self.logged_from and path not in OPEN:
            _log(exchange, path, seconds)
        if self.traces is not None and path not in OPEN:
            self._trace(self.traces, exchange, path=path, seconds=seconds)

    def _flush(self) -> None:
        self._flushing = False
        self.metrics.flush()
        self.metrics.record_worker(self.worker)

    def _audit(self, exchange: Exchange) -> None:
        self.worker.audit.write(
            at=self.clock(),
            key_id=exchange.key_id,
            path=exchange.scope["path"],
            status=exchange.status,
            request_id=exchange.request_id,
        )

    def _trace(self, traces: Traces, exchange: Exchange, *, path: str, seconds: float) -> None:
        about = answered(exchange.answer, exchange.state.snapshot if exchange.state else None)
        about["recompra.request_id"] = exchange.request_id
        traces.record(exchange.scope, exchange.status, seconds=seconds, path=path, **about)

    async def _handle(self, exchange: Exchange, receive: Receive) -> None:
        path, method = exchange.scope["path"], exchange.method
        if path in OPEN and method == "GET":
            return await self._health(exchange)
        self.worker.sync()
        key = self._key(exchange)
        exchange.key_id = key.key_id
        if (seconds := self.limits.wait(key, exchange.started)) > 0:
            reason = f"this key may send {key.per_second:g} requests a second"
            raise Refused(429, reason, headers=(("retry-after", str(ceil(seconds))),))
        if path in OPEN:
            raise _other_method(path, "GET")
        if path in READABLE:
            return await self._read(exchange, key)
        endpoint = BY_PATH.get(path)
        if endpoint is None:
            raise Refused(404, f"there is nothing at {path[:100]!r}", detail=sorted(BY_PATH))
        if method not in endpoint.methods:
            raise _other_method(path, *endpoint.methods)
        _admit(key, endpoint.scopes)
        if method == "GET":
            body = body_of_query(endpoint, exchange.scope["query_string"])
        else:
            body = await body_of(exchange.headers, receive)
        if endpoint.stored and self.worker.view is not None and self.worker.view.down:
            raise store_unavailable()
        await self._answer(exchange, endpoint, body=body, receive=receive)

    async def _answer(self, exchange: Exchange, endpoint: Endpoint, *, body: bytes, receive: Receive) -> None:
        state, function = self._serving(), self.hot.get(endpoint.path)
        exchange.state = state
        if function is None:
            parse(endpoint.request, body)
            await self.app(_admitted(exchange, body), replay(body, receive), exchange.relay)
            if (failed := exchange.failed) and not exchange.status:  # else the server breaks the connection
                raise Refused(failed, FAILED[failed], headers=RETRY if failed == 504 else ())
            return
        exchange.answer = answer = function(state, read(endpoint, body))
        if "list" in answer:
            self.metrics.list_answered(
                answer["list"], answer["answered_from"], seconds=perf_counter() - exchange.started
            )
        await exchange.reply(200, msgspec.json.encode(answer))

    def _serving(self) -> State:
        if self.worker.state is None:
            raise Refused(503, f"{self.worker.status()['refused']}", headers=RETRY)
        return self.worker.state

    def _key(self, exchange: Exchange) -> Key:
        presented = exchange.headers.get(b"authorization", b"")
        view = self.worker.view
        key = view.holder(presented) if view is not None else None
        if key is None:
            reason = "this key is not known, or was revoked" if presented else "no key was given"
            hint = "send `Authorization: Bearer <key>`; `recompra keys create` makes one"
            if PREFLIGHT in exchange.headers and exchange.method == "OPTIONS":
                reason, hint = "requests from web pages are not accepted", NO_BROWSERS
            raise Refused(401, f"{reason}. Hint: {hint}", headers=(("www-authenticate", "Bearer"),))
        return key

    async def _read(self, exchange: Exchange, key: Key) -> None:
        path = exchange.scope["path"]
        if exchange.method != "GET":
            raise _other_method(path, "GET")
        _admit(key, READABLE[path])
        if path == "/metrics":
            self.metrics.record_worker(self.worker)
            metrics = self.metrics.text() + watcher_metrics(self.worker.home, self.clock())
            return await exchange.reply(200, metrics, kind=CONTENT_TYPE.encode())
        await exchange.reply(200, document())

    async def _health(self, exchange: Exchange) -> None:
        if exchange.scope["path"] != "/readyz":
            return await exchange.reply(200, b'{"alive":true}')
        status = self.worker.status()
        await exchange.reply(200 if status["ready"] else 503, msgspec.json.encode(status))


def _admitted(exchange: Exchange, body: bytes) -> Scope:
    """Return a request as the service gets it: a POST of its body; only a GET carries ``If-None-Match``."""
    headers = exchange.scope["headers"]
    if exchange.method == "GET":
        headers = [pair for pair in headers if pair[0] not in (b"content-type", b"content-length")]
        headers += [(b"content-type", JSON), (b"content-length", b"%d" % len(body))]
    elif b"if-none-match" in exchange.headers:
        headers = [pair for pair in headers if pair[0] != b"if-none-match"]
    as_post = {"method": "POST", "query_string": b"", "headers": headers}
    return {**exchange.scope, **as_post, ADMITTED: exchange.scope["method"]}


def read(endpoint: Endpoint, body: bytes) -> Any:
    """Read a hot route's request quickly; invalid ones are left for ``parse`` to describe."""
    try:
        return READERS[endpoint.path](body)
    except FAULTS:
        return parse(endpoint.request, body)


def _log(exchange: Exchange, path: str, seconds: float) -> None:
    """Log a request without its content: neither path nor reason may name a customer."""
    status = exchange.status
    level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
    fields = {"path": path, "status": status, "ms": round(seconds * 1000, 3)}
    access.log(level, "%s %s", status, path, extra={"fields": fields})


def _other_method(path: str, *takes: str) -> Refused:
    """Return the refusal that names the methods of a path; HEAD wherever GET."""
    allowed = ", ".join(takes).replace("GET", "GET, HEAD")
    return Refused(405, f"{path} takes a {' or a '.join(takes)}", headers=(("allow", allowed),))


def _admit(key: Key, scopes: tuple[str, ...]) -> None:
    if not key.may(*scopes):
        have = ", ".join(sorted(key.scopes))
        raise Refused(403, f"this key has scope {have}; {' or '.join(scopes)} is needed here")


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    if len(given) <= 64 and given.replace(b"-", b"").isalnum():
        return given.decode("ascii")
    return secrets.token_hex(8)
