"""Clients: ``closed`` asks as fast as answers come, ``paced`` at a rate of its own, whatever comes back.

The closed loop is wrk's where wrk is installed, else ours: Python costs as much as the servers it measures.
"""

import asyncio
import gc
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop

CONNECTIONS, WARM_UP = 16, 0.5
N_ASKED = 5_000
"""So many different requests are sent, in turn."""
LUA = """local asked = {REQUESTS}
local turn = 0
function request()
  turn = turn % #asked + 1
  return asked[turn]
end
"""
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Figures(NamedTuple):
    """Requests a second, and milliseconds."""

    rate: float
    p50: float
    p99: float


class Told(NamedTuple):
    """One answer of ``paced``."""

    due: float
    """Seconds after the start."""
    seconds: float
    """From the moment it was due, not sent: who waits in a queue waits."""
    status: int
    body: bytes


def client() -> str:
    """Name the client of the closed loop."""
    return "wrk" if shutil.which("wrk") else "a client in Python"


def closed(port: int, requests: Sequence[bytes], seconds: float) -> Figures:
    """Keep 16 connections busy; raise ``RuntimeError`` where an answer is none."""
    some = requests[:: max(len(requests) // N_ASKED, 1)]
    return _wrk(port, some, seconds) if shutil.which("wrk") else _ours(port, some, seconds)


def _wrk(port: int, requests: Sequence[bytes], seconds: float) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ask.lua"
        script.write_text(_lua(requests), encoding="utf-8")
        line = ["wrk", "-t1", f"-c{CONNECTIONS}", "--latency", "-s", str(script), f"http://127.0.0.1:{port}"]
        for length in (1, seconds):
            done = subprocess.run([*line, f"-d{length:.0f}"], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    return Figures(float(found[1]), *(_milliseconds(done.stdout, percent) for percent in (50, 99)))


def _milliseconds(told: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", told, re.MULTILINE)
    assert found is not None, told
    return float(found[1]) * UNITS[found[2]]


def _lua(requests: Sequence[bytes]) -> str:
    """Return a script that sends requests as they are, in turn."""
    escaped = (
        "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in one)
        for one in requests
    )
    lines = ",\n".join(f'"{one}"' for one in escaped)
    return LUA.replace("REQUESTS", lines)


def _ours(port: int, requests: Sequence[bytes], seconds: float) -> Figures:
    async def all_at_once(length: float) -> list[float]:
        taken: list[float] = []
        until = time.perf_counter() + length
        parts = [list(requests[start::CONNECTIONS]) or list(requests) for start in range(CONNECTIONS)]
        await asyncio.gather(*(_visit(port, part, until, taken) for part in parts))
        return taken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_at_once(WARM_UP))
        taken = np.array(runner.run(all_at_once(seconds))) * 1000
    return Figures(len(taken) / seconds, float(np.percentile(taken, 50)), float(np.percentile(taken, 99)))


async def _visit(port: int, requests: Sequence[bytes], until: float, taken: list[float]) -> None:
    line, turn = await Line.open(port), 0
    while time.perf_counter() < until:
        start = time.perf_counter()
        status, body = await line.ask(requests[turn % len(requests)])
        if status != 200:
            raise RuntimeError(body.decode())
        taken.append(time.perf_counter() - start)
        turn += 1
    line.close()


@dataclass(frozen=True)
class Line:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "Line":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, asked: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        self.writer.write(asked)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


def paced(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> list[Told]:
    """Ask ``rate`` times a second, however long answers take; return every answer (status 0: none came)."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, _uncollected():
        return runner.run(_paced(port, requests, rate, seconds))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage: collecting a benchmark's objects takes 80 ms, while every answer waits."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _paced(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> list[Told]:
    todo: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    told: list[Told] = []
    lines = [asyncio.create_task(_serve(port, todo, told)) for _ in range(4 * CONNECTIONS)]
    start = time.perf_counter() + 0.1
    for turn in range(int(rate * seconds)):
        due = start + turn / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        todo.put_nowait((due, requests[turn % len(requests)]))
    await asyncio.wait_for(todo.join(), 30)
    for line in lines:
        line.cancel()
    return [one._replace(due=one.due - start) for one in told]


async def _serve(port: int, todo: asyncio.Queue[tuple[float, bytes]], told: list[Told]) -> None:
    line = await Line.open(port)
    while True:
        due, asked = await todo.get()
        try:
            status, body = await line.ask(asked)
        except (OSError, asyncio.IncompleteReadError) as error:
            status, body = 0, repr(error).encode()
            line = await Line.open(port)
        told.append(Told(due, time.perf_counter() - due, status, body))
        todo.task_done()


def figures(told: Sequence[Told], seconds: float) -> Figures:
    """Return rate and percentiles of what ``paced`` was told."""
    taken = np.array([one.seconds for one in told]) * 1000
    return Figures(len(told) / seconds, float(np.percentile(taken, 50)), float(np.percentile(taken, 99)))
