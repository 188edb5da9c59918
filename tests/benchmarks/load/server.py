"""Servers under load: how each starts, when it is ready, and what it is asked."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from worlds.ports import free_port

from serving.entrance import keys
from serving.run import environment
from serving.store import Store

HERE = Path(__file__).resolve().parent.parent
SERVICE = "import sys; from pathlib import Path; from serving.run import serve; "


def wait_for(url: str, seconds: float = 60, *, ready: bool = False) -> None:
    """Wait until a URL answers: at all, or that it is ``ready``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            return urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            if not ready:
                return None
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError(url)


def request(path: str, body: object, key: str = "") -> bytes:
    """Return a request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@dataclass(frozen=True)
class Server:
    """What is measured: how it starts, when it is ready, what it is asked."""

    label: str
    command: tuple[str, ...]
    env: dict[str, str]
    ready: str
    requests: Sequence[bytes]
    port: int = field(default_factory=free_port)

    @classmethod
    def of_home(
        cls, label: str, home: Path, bodies: Sequence[dict[str, object]], *, workers: int = 2, **env: str
    ) -> "Server":
        """Serve a home, and ask it for lists."""
        store = Store.open(home)
        key = keys.create(store, ["storefront"], now=datetime.now(UTC))
        store.close()
        code = f"{SERVICE}sys.exit(serve(Path({str(home)!r}), workers={workers}, port=int(sys.argv[-1])))"
        asked = [request("/recommend", body, key) for body in bodies]
        return cls(label, ("-c", code), {**os.environ, **env}, "/readyz", asked)


@contextmanager
def running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in its own process until it answers, and stop it in the end."""
    quiet, line = subprocess.DEVNULL, [sys.executable, *server.command, str(server.port)]
    process = subprocess.Popen(line, env=server.env, stdout=quiet, stderr=quiet, cwd=HERE)
    try:
        wait_for(f"http://127.0.0.1:{server.port}{server.ready}", ready=server.ready == "/readyz")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def noops(place: Path) -> list[Server]:
    """Return servers of an empty answer, two workers each: BentoML's by default, and a bare one."""
    ping, env = [request("/ping", {"x": 1})], {**environment(place, workers=2), "PYTHONPATH": str(HERE)}
    bento = ("-m", "bentoml", "serve", "noops:Noop", "--port")
    bare = ("-m", "uvicorn", "noops:starlette", "--workers", "2", "--port")
    return [
        Server("no-op, BentoML by default", bento, env, "/ping", ping),
        Server("no-op, uvicorn + Starlette", bare, env, "/ping", ping),
    ]
