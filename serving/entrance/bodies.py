"""The body of a request: complete, small, in time, and of the form that its endpoint takes."""

import asyncio
import contextlib
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from features.faults import problem
from serving.api_types import Request
from serving.entrance.exchange import JSON, Message, Receive
from serving.entrance.refusals import Refused

MAX_BODY = 1_000_000
BODY_SECONDS = 5.0
"""Maximum wait for a body."""
DRAINED, DRAIN_SECONDS = 10_000_000, 1.0
"""Maximum bytes and seconds for which an oversized body is still read and dropped: a client that is still
sending would lose the connection, and with it the reason."""
JSON_TEXT = JSON.decode()
N_FAULTS = 20
"""Maximum number of faults in a refusal."""
HINTS = {
    "json_invalid": "send one JSON object; /openapi.json has an example of each",
    "union_tag_not_found": "give its kind; /openapi.json has an example of each",
    "extra_forbidden": "/openapi.json names the fields there are",
    "string_pattern_mismatch": "an id is not blank, without control characters; a cursor is sent unchanged",
    "string_type": "ids and names are strings, in quotes",
}


def parse(kind: type[Request], body: bytes) -> Request:
    """Read a request; raise ``Refused`` (400) naming the field and what is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise refusal_of(error) from None


def refusal_of(error: ValidationError) -> Refused:
    """Return the refusal for an invalid request: the first fault in the reason, more in the detail."""
    faults = error.errors(include_url=False)[:N_FAULTS]
    detail = [
        {"field": ".".join(str(part)[:100] for part in fault["loc"]), "problem": _problem(fault)}
        for fault in faults
    ]
    first = detail[0]
    message = f"{first['field']}: {first['problem']}" if first["field"] else f"the body {first['problem']}"
    return Refused(400, message, detail=detail)


def _problem(fault: ErrorDetails) -> str:
    """Describe what was expected and what came, for the client only: it is not logged."""
    hint = HINTS.get(fault["type"])
    return problem(fault) + (f". Hint: {hint}" if hint else "")


async def body_of(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Read the whole body, counting bytes; raise ``Refused`` if it is too large, late or not JSON."""
    kind = headers.get(b"content-type", JSON)
    if kind != JSON and kind.split(b";")[0].strip().lower() != JSON:
        came = kind.decode("latin-1")[:100] or "nothing"
        raise Refused(415, f"the Content-Type must be {JSON_TEXT} (curl --json), found {came}")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        message = "send the body uncompressed (no Content-Encoding)"
        raise Refused(415, message, headers=(("accept-encoding", "identity"),))
    size = headers.get(b"content-length", b"0")
    if size.isdigit() and int(size) > MAX_BODY:
        if b"expect" not in headers:  # a client that asks first has not begun to send
            await _drain(receive)
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
        message = f"the body did not come within {BODY_SECONDS:g} seconds"
        raise Refused(408, message, headers=(("connection", "close"),)) from None
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
                await _drain(receive)
            raise _too_large()
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _drain(receive: Receive) -> None:
    """Read and drop data until the body ends, or a limit is reached."""
    drained, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while more and drained < DRAINED:
                message = await receive()
                drained += len(message.get("body", b""))
                more = message.get("more_body", False)


def _too_large() -> Refused:
    message = f"the body is larger than {MAX_BODY:,} bytes: send it in several"
    return Refused(413, message, headers=(("connection", "close"),))


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that passes the body to the service as if it had just arrived."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
