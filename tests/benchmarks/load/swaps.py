"""Twenty scorings put in service in twenty seconds, some of them broken, while every answer is checked.

Each version's ready lists hold products of its own, and it has its own model versions and moment: an answer
that mixes two shows it.
"""

import json
import os
import shutil
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from load.client import Figures, Told, figures, paced
from load.server import Server, running

from models.lists.list_kinds import PERSONAL
from serving.scoring.folder import load
from serving.state import Pointer

N_VERSIONS = 2
FIRST = 100
"""The model version of the first of them."""
BREAK_EVERY = 4
N_SWAPS, SECONDS = 20, 20.0


@dataclass
class Outcome:
    """What came of it."""

    calm: Figures
    swapped: Figures
    answers: int = 0
    served: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What readiness said while a broken scoring was the newest."""


def versions(home: Path, base: Pointer) -> dict[str, Pointer]:
    """Make good and broken scorings out of one; return what points at each."""
    made = {}
    for number in range(N_VERSIONS):
        made[f"good-{number}"] = _recognisable(home, base, number)
    for name, spoil in BROKEN.items():
        stamp = f"broken-{name}"
        folder = _copied(home, "good-0", stamp)
        spoil(folder)
        made[stamp] = Pointer(stamp, made["good-0"].as_of, made["good-0"].models)
    return made


def _copied(home: Path, stamp: str, to: str) -> Path:
    """Copy a scoring: files are shared until they are written anew."""
    folder = home / "lists" / to
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home / "lists" / stamp, folder, copy_function=os.link)
    return folder


def _rewritten(path: Path, array: Any) -> None:
    path.unlink()
    np.save(path, array)


def _recognisable(home: Path, base: Pointer, number: int) -> Pointer:
    """Make a version whose ready lists hold only products whose code leaves ``number``."""
    stamp = f"good-{number}"
    folder = _copied(home, base.stamp, stamp)
    snapshot = load(folder)
    n, n_products = len(snapshot.customers), len(snapshot.catalogue.products) // N_VERSIONS
    for name in PERSONAL:
        shape = snapshot.ready[name].product.shape
        first = np.random.default_rng(number).integers(0, n_products, (n, 1), np.int32)
        places = (first + np.arange(shape[1], dtype=np.int32)) % n_products
        _rewritten(folder / f"{name}.product.npy", (places * N_VERSIONS + number).astype(np.int32))
    manifest = folder / "manifest.json"
    card = json.loads(manifest.read_text(encoding="utf-8"))
    card["models"] = dict.fromkeys(card["models"], str(FIRST + number))
    card["as_of"] = (snapshot.as_of + timedelta(seconds=number)).isoformat()
    manifest.unlink()
    manifest.write_text(json.dumps(card), encoding="utf-8")
    return Pointer(stamp, card["as_of"], card["models"])


def _truncated(folder: Path) -> None:
    path = folder / "for_you.score.npy"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def _no_numbers(folder: Path) -> None:
    path = folder / "state" / "product_factors.npy"
    _rewritten(path, np.full_like(np.load(path), np.nan))


def _of_other_features(folder: Path) -> None:
    path = folder / "state" / "ranker.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    path.write_text(json.dumps(card | {"pair_features": "00000000"}), encoding="utf-8")
    _resized(folder, path)


def _no_chances(folder: Path) -> None:
    path = folder / "buy_again.score.npy"
    _rewritten(path, np.full_like(np.load(path), np.nan))


def _resized(folder: Path, path: Path) -> None:
    manifest = folder / "manifest.json"
    card = json.loads(manifest.read_text(encoding="utf-8"))
    card["files"][path.relative_to(folder).as_posix()] = path.stat().st_size
    manifest.unlink()
    manifest.write_text(json.dumps(card), encoding="utf-8")


BROKEN: dict[str, Callable[[Path], None]] = {
    "truncated": _truncated,
    "no-numbers": _no_numbers,
    "other-features": _of_other_features,
    "no-chances": _no_chances,
}


def swaps(kept: Path, bodies: Sequence[dict[str, object]], rate: float) -> Outcome:
    """Ask at a rate for a while, and again while scorings come and go; check every answer of both.

    This happens in a home of its own beside the one that is ``kept``, which shares its files.
    """
    home, base = kept.parent / f"{kept.name}-swaps", Pointer.read(kept)
    shutil.rmtree(home, ignore_errors=True)
    try:
        shutil.copytree(kept / "lists" / base.stamp, home / "lists" / base.stamp, copy_function=os.link)
        return _swaps(home, base, bodies, rate)
    finally:
        shutil.rmtree(home)


def _swaps(home: Path, base: Pointer, bodies: Sequence[dict[str, object]], rate: float) -> Outcome:
    made = versions(home, base)
    made["good-0"].move(home)
    server = Server.of_home("swaps", home, bodies)
    with running(server):
        paced(server.port, server.requests, rate, 3.0)
        calm = paced(server.port, server.requests, rate, SECONDS)
        conductor = _Conductor(home, server.port, made)
        conductor.start()
        swapped = paced(server.port, server.requests, rate, SECONDS)
        conductor.join()
    codes = load(home / "lists" / "good-0").catalogue.products.all_names()
    outcome = Outcome(figures(calm, SECONDS), figures(swapped, SECONDS), refused=conductor.refused)
    _check(outcome, [*calm, *swapped], made, {name: code for code, name in enumerate(codes)})
    return outcome


class _Conductor(threading.Thread):
    """Moves the pointer once a second; after a broken scoring it looks at readiness."""

    def __init__(self, home: Path, port: int, made: dict[str, Pointer]) -> None:
        super().__init__()
        self.home, self.port, self.made = home, port, made
        self.refused: list[str] = []

    def run(self) -> None:
        """Put twenty scorings in service."""
        start, broken = time.monotonic(), [stamp for stamp in self.made if stamp.startswith("broken")]
        for turn in range(N_SWAPS):
            time.sleep(max(start + turn * SECONDS / N_SWAPS - time.monotonic(), 0))
            spoilt = turn % BREAK_EVERY == BREAK_EVERY - 1
            stamp = broken[turn // BREAK_EVERY % len(broken)] if spoilt else f"good-{(turn + 1) % N_VERSIONS}"
            self.made[stamp].move(self.home)
            if spoilt:
                time.sleep(0.8 * SECONDS / N_SWAPS)
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz") as answer:
                    self.refused.append(f"{stamp}: {json.load(answer)['refused']}")


def _check(outcome: Outcome, told: Sequence[Told], made: dict[str, Pointer], codes: dict[str, int]) -> None:
    """Fill in what went wrong."""
    for one in told:
        outcome.answers += 1
        if one.status != 200:
            outcome.failed.append(f"{one.status} {one.body[:200]!r}")
            continue
        answer = json.loads(one.body)
        version = answer["models"]["cross_sell"]
        outcome.served[version] += 1
        whole = set(answer["models"].values()) == {version} and len(answer["products"]) == 10
        number = int(version) - FIRST
        whole = whole and answer["as_of"] == made[f"good-{number}"].as_of
        if whole and answer["answered_from"] == "ready":
            whole = all(codes[one["product_id"]] % N_VERSIONS == number for one in answer["products"])
        if not whole:
            outcome.mixed.append(one.body[:300].decode())
