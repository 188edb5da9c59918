"""What goes out of the answers that a service behind the entrance begins, gives up or fails in."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from worlds.snapshot import NOW
from worlds.visits import Client, echo, visitor

from serving.entrance.access import AccessControl


def answered(home: Path, *parts: int | bytes | Exception) -> tuple[httpx.Response, list[int]]:
    """Ask a service that sends these heads and pieces of a body; return the heads that went out as well."""
    heads = []

    async def theirs(scope: Any, receive: Any, send: Any) -> None:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, int):
                await send({"type": "http.response.start", "status": part, "headers": []})
            else:
                await send({"type": "http.response.body", "body": part, "more_body": True})

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        async def hear(message: Any) -> None:
            heads.extend([message["status"]] if message["type"] == "http.response.start" else [])
            await send(message)

        await client.app(scope, receive, hear)
        raise ConnectionError  # as a server does if the rest is missing

    client, worker = visitor(home, app=theirs)
    answer = Client(counted, client.keys).ask("/customer", {"customer_id": "c1"})
    worker.close()
    return answer, heads


def test_an_answer_given_up_before_its_body_goes_out_once_and_in_our_words(tmp_path: Path) -> None:
    answer, heads = answered(tmp_path, 200, 504, b"theirs")
    assert (answer.status_code, heads, answer.headers["retry-after"]) == (504, [504], "5")
    assert answer.json()["error"].startswith("the answer took too long; try again")


def test_an_error_of_the_service_is_told_in_our_words_and_not_to_come_again(
    tmp_path: Path,
) -> None:
    answer, heads = answered(tmp_path, 500, b"theirs")
    assert (answer.status_code, heads, "retry-after" in answer.headers) == (500, [500], False)
    assert answer.json()["error"].startswith("something went wrong here")


@pytest.mark.parametrize("end", [(504, b"theirs"), (ZeroDivisionError(),)])
def test_an_answer_given_up_within_its_body_breaks_off(tmp_path: Path, end: tuple[Any, ...]) -> None:
    answer, heads = answered(tmp_path, 200, b"some", *end)
    assert (answer.content, heads) == (b"some", [200])


async def idle(scope: Any, receive: Any, send: Any) -> None:
    """Start and end without a word."""


@pytest.mark.parametrize(
    ("framework", "behind"), [(SimpleNamespace(middleware_stack=echo), echo), (SimpleNamespace(), idle)]
)
def test_it_moves_in_front_of_a_framework_it_knows_once_and_writes_in_the_end_what_it_counted(
    framework: Any, behind: Any
) -> None:
    entrance = AccessControl(idle, worker=None, clock=lambda: NOW)  # type: ignore[arg-type]
    entrance.metrics.request("/livez", 200, seconds=0.1)
    for _ in range(2):
        asyncio.run(entrance({"type": "lifespan", "app": framework}, None, None))  # type: ignore[arg-type]
    assert entrance.app is behind
    asked = {"path": "/livez", "status": "200"}
    assert entrance.metrics.registry.get_sample_value("recompra_requests_total", asked) == 1
