"""Calling an ASGI app in this process, as a client would."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from worlds.snapshot import NOW, Snapshot, make_home

from serving.entrance import keys
from serving.entrance.access import AccessControl
from serving.store import Store
from serving.worker import Worker


@dataclass(frozen=True)
class Client:
    """A client of an app with one key a scope."""

    app: Any
    keys: dict[str, str]

    def ask(self, path: str, body: Any = None, *, scope: str = "admin", **options: Any) -> httpx.Response:
        """POST ``body`` (JSON, or bytes as they are) with the key of a scope."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            "authorization": f"Bearer {self.keys.get(scope, scope)}",
            "content-type": "application/json",
        }
        headers |= options.pop("headers", {})
        return self.send("POST", path, content=content, headers=headers, **options)

    def get(self, path: str, *, scope: str = "admin") -> httpx.Response:
        """GET with the key of a scope."""
        return self.send("GET", path, headers={"authorization": f"Bearer {self.keys.get(scope, scope)}"})

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""

        async def visit() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, path, **options)

        return asyncio.run(visit())


def make_keys(home: Path) -> dict[str, str]:
    """Make one key a scope."""
    store = Store.open(home)
    made = {scope: keys.create(store, [scope], now=NOW) for scope in keys.SCOPES}
    store.close()
    return made


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for the service: answer with the body that came."""
    message = await receive()
    headers = [(b"content-type", b"application/json"), (b"server", b"secret")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": message["body"]})


def visitor(home: Path, snapshot: Snapshot | None = None, app: Any = echo) -> tuple[Client, Worker]:
    """Open a worker on a made-up scoring, with the access control before ``app``."""
    make_home(home, snapshot)
    made = make_keys(home)
    worker = Worker()
    worker.open(home)
    return Client(AccessControl(app, worker=worker, clock=lambda: NOW), made), worker


@asynccontextmanager
async def alive(app: Any) -> AsyncIterator[None]:
    """Start an app and stop it in the end, as its server does."""
    told: asyncio.Queue[Any] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "state": {}}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    assert (await heard.get())["type"] == "lifespan.startup.complete"
    yield
    await told.put({"type": "lifespan.shutdown"})
    await running
