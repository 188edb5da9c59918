"""One HTTP request and its response, as the access control sees them."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from serving.entrance.refusals import FAILED, Refused
from serving.state import State

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
HIDDEN = (b"server", b"x-bentoml-request-id")


@dataclass
class Exchange:
    """One request and its response."""

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
    """Status of the framework's own error, which is reported in our words."""
    head: Message | None = None
    """The head of a response whose body has not begun."""

    @property
    def method(self) -> str:
        """Its method; a HEAD is answered as a GET, without the body."""
        return "GET" if self.bodiless else str(self.scope["method"])

    @property
    def bodiless(self) -> bool:
        """Whether only the head of the response is wanted."""
        return bool(self.scope["method"] == "HEAD")

    async def reply(
        self, status: int, body: bytes, *, kind: bytes = JSON, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send the response."""
        self.status = status
        lines = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request_id.encode()),
        ]
        if headers:
            lines += [(name.encode(), value.encode()) for name, value in headers]
        await self.send({"type": "http.response.start", "status": status, "headers": lines})
        await self.send({"type": "http.response.body", "body": b"" if self.bodiless else body})

    async def refuse(self, refused: Refused) -> None:
        """Send a refusal."""
        await self.reply(refused.status, refused.body(), headers=refused.headers)

    async def relay(self, message: Message) -> None:
        """Pass on a response of the service, with the request's id.

        Its head is delayed until the body begins: a framework that fails in between sends a second head, and
        only one may be sent.
        """
        begins = message["type"] == "http.response.start"
        if begins and message["status"] in FAILED:
            self.failed = message["status"]
        if self.failed:
            return
        if begins:
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in HIDDEN]
            message["headers"] = [*kept, (b"x-request-id", self.request_id.encode())]
            self.head = message
            return
        if self.head is not None:
            head, self.head = self.head, None
            self.status = head["status"]
            await self.send(head)
        await self.send({**message, "body": b""} if self.bodiless else message)
