"""The whole BentoML service in this process, behind its access control."""

import asyncio
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from worlds.visits import alive, make_keys

from serving.entrance.access import HOT


@dataclass
class Service:
    """The service behind its access control; ``slow`` lets the framework answer the hot routes too."""

    runner: asyncio.Runner
    app: Any
    keys: dict[str, str]

    def ask(self, path: str, body: Any, *, slow: bool = False, headers: Any = None) -> httpx.Response:
        """POST a body as JSON, with a key that opens everything."""
        told = {"content-type": "application/json", "accept-encoding": "identity"}
        told |= {"authorization": f"Bearer {self.keys['admin']}"} | (headers or {})
        with mock.patch.dict(HOT, clear=slow):
            return self.send("POST", path, content=json.dumps(body), headers=told)

    def get(self, path: str, asked: dict[str, Any], *, headers: Any = None) -> httpx.Response:
        """GET what a body would ask, as a query."""
        told = {"authorization": f"Bearer {self.keys['admin']}", "accept-encoding": "identity"}
        return self.send("GET", path, headers=told | (headers or {}), **({"params": asked} if asked else {}))

    def ask_at_once(self, path: str, bodies: list[Any]) -> list[httpx.Response]:
        """Ask everything before anything is answered."""
        headers = {"authorization": f"Bearer {self.keys['admin']}"}

        async def visits() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await asyncio.gather(
                    *(client.post(path, json=body, headers=headers) for body in bodies)
                )

        return self.runner.run(visits())

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request as it is."""

        async def visit() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, path, **options)

        return self.runner.run(visit())


@contextmanager
def framework(home: Path) -> Iterator[Service]:
    """Serve a home until the end of the block."""
    made = make_keys(home)
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("RECOMPRA_HOME", str(home))
        patch.setenv("BENTOML_HOME", str(home / "bentoml"))
        patch.setenv("BENTOML_DO_NOT_TRACK", "True")
        patch.setattr("serving.watching.logs.set_up", lambda: None)  # this process is pytest's
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bentoml imports what its own dependencies have deprecated
            from serving.service import Recompra

        app = Recompra.to_asgi()
        lifespan = alive(app)
        runner.run(lifespan.__aenter__())
        yield Service(runner, app, made)
        runner.run(lifespan.__aexit__(None, None, None))
