"""The body of a request: whole, small, in time, and of the form that its endpoint takes."""

import asyncio
import contextlib
from collections.abc import Mapping

from pydantic import ValidationError

from serving.api_types import Request
from serving.entrance.refusals import Refused
from serving.entrance.visit import JSON, Message, Receive

MAX_BODY = 1_000_000
BODY_SECONDS = 5.0
"""A body that has not come by then is not waited for."""
PASSED, PASS_SECONDS = 10_000_000, 1.0
"""So many bytes, and for so many seconds, a body that is too large is read on and dropped: a client that is
still sending would lose the connection, and with it the reason."""
JSON_TEXT = JSON.decode()


def parse(kind: type[Request], body: bytes) -> Request:
    """Read a request; raise ``Refused`` (400) naming the field and what is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise refusal_of(error) from None


def refusal_of(error: ValidationError) -> Refused:
    """Say which field is wrong, and why; the first in the reason, up to twenty in the detail."""
    detail = [
        {"field": ".".join(str(part)[:100] for part in fault["loc"]), "problem": fault["msg"]}
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = detail[0]
    told = f"{first['field']}: {first['problem']}" if first["field"] else first["problem"]
    return Refused(400, told, detail=detail[:20])


async def body_of(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Read the whole body, counting as it comes; raise ``Refused`` where it is too large, late or no JSON."""
    kind = headers.get(b"content-type", JSON)
    if kind != JSON and kind.split(b";")[0].strip().lower() != JSON:
        raise Refused(415, f"send the body as {JSON_TEXT} (curl --json)")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        told = "send the body as it is, not packed (no Content-Encoding)"
        raise Refused(415, told, headers=(("accept-encoding", "identity"),))
    size = headers.get(b"content-length", b"0")
    if size.isdigit() and int(size) > MAX_BODY:
        if b"expect" not in headers:  # who asks first has not begun to send
            await _let_pass(receive)
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
        more = message.get("more_body", False)
        if size > MAX_BODY:
            if more:
                await _let_pass(receive)
            raise _too_large()
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _let_pass(receive: Receive) -> None:
    """Read on, and keep nothing, until the body ends, or enough of it has passed."""
    passed, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PASS_SECONDS):
            while more and passed < PASSED:
                message = await receive()
                passed += len(message.get("body", b""))
                more = message.get("more_body", False)


def _too_large() -> Refused:
    return Refused(413, f"the body is larger than {MAX_BODY:,} bytes", headers=(("connection", "close"),))


def replay(body: bytes, receive: Receive) -> Receive:
    """Give the body to the service as if it had just come."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
