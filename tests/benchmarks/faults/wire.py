"""Requests over plain keep-alive connections, as a shop's server would hold them."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import msgspec

IDLE = 4.0
"""Seconds after which a connection is opened anew: the service closes one that is silent for five."""
MOST = 100
"""So many requests go over a connection before it is opened anew: every worker gets its share."""
PATIENCE = 20.0
"""Seconds after which an answer is taken for lost."""


class Lost(Exception):
    """The connection ended before the answer came: the request may have been served, or not."""


@dataclass(frozen=True)
class Answer:
    """Status, headers in lower case, and the body."""

    status: int
    head: bytes
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return msgspec.json.decode(self.body)

    @property
    def retry_after(self) -> bool:
        """Tell whether it says when to come again."""
        return b"\r\nretry-after:" in self.head


@dataclass
class Line:
    """One connection, opened when it is needed."""

    port: int
    ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    used: float = 0.0
    count: int = 0

    async def ask(self, method: str, path: str, body: Any, key: str) -> Answer:
        """Send one request and read its answer; raise ``Lost`` where the connection ends before."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(request(method, path, body, key))
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise Lost(f"{type(error).__name__} {error}") from error
        except BaseException:
            self.close()
            raise

    async def _ask(self, sent: bytes) -> Answer:
        self.count += 1
        if time.monotonic() - self.used > IDLE or self.count % MOST == 0:
            self.close()
        if self.ends is None:
            self.ends = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.ends
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        answer = Answer(int(head[9:12]), head, await _body(head, reader))
        self.used = time.monotonic()
        if b"\r\nconnection: close" in head:
            self.close()
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        if self.ends is not None:
            self.ends[1].close()
            self.ends = None


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    if b"\r\ntransfer-encoding: chunked" not in head:
        length = int(head.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
        return await reader.readexactly(length)
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


def request(method: str, path: str, body: Any, key: str) -> bytes:
    """Return a request as it goes over the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content
