"""Processes that are killed at work: each does what the service or a scoring does, by the same code."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from faults.home import Shelf
from worlds.champions import registry_of

from features.shop import Shop
from models.registry import model_class
from serving import score
from serving.api import EventsRequest, RecommendRequest
from serving.scoring.build import Build
from serving.scoring.folder import load
from serving.scoring.snapshot import Snapshot
from serving.storefront import answers
from serving.storefront.events import post_events
from serving.worker import Worker

LINE = {"kind": "order", "product_id": "p0001"}
SCORED = "9"
"""The version of what is scored from the beginning."""


def write_events(shelf: Shelf, cycle: int, told: Connection) -> None:
    """Post batch after batch as a worker does; tell each that was acknowledged."""
    worker, random = Worker(), Random(cycle)
    worker.open(shelf.home)
    told.send("ready")
    for batch in range(1_000_000):
        n = random.randint(1, 5)
        events = [
            {
                "event_id": f"k{cycle}-{batch}-{j}of{n}",
                "kind": "order",
                "customer_id": f"v{cycle}",
                "product_id": "p0001",
            }
            for j in range(n)
        ]
        request = EventsRequest.model_validate_json(json.dumps({"events": events}))
        kept = post_events(worker.serving(), request, now=datetime.now(UTC))
        assert kept.accepted == n
        told.send([event["event_id"] for event in events])


def publish(shelf: Shelf, cycle: int, told: Connection) -> None:
    """Write scoring after scoring and put it in service, as ``recompra score`` does; only the models rest."""
    ready = {version: load(folder) for version, folder in shelf.templates.items()}
    told.send("ready")
    for turn in range(1_000_000):
        version = 1 + (cycle + turn) % len(ready)
        _score(
            shelf,
            _Prebuilt(ready[version], shelf.templates[version]),
            {},
            dict.fromkeys(("all",), str(version)),
        )
        told.send(str(version))


def score_all(shelf: Shelf, cycle: int, told: Connection) -> None:
    """Score everybody from the beginning, again and again."""
    models = load_models(shelf)
    told.send("ready")
    for _ in range(1_000_000):
        _score(shelf, Build, models, dict.fromkeys(models, SCORED))
        told.send(SCORED)


def follow(shelf: Shelf, cycle: int, told: Connection) -> None:
    """Take scoring after scoring into service as a worker does, and answer from it."""
    worker = Worker()
    worker.open(shelf.home)
    told.send("ready")
    for turn in range(1_000_000):
        shelf.publish(cycle + turn)
        if worker.moved():
            worker.swap(worker.load())
        answers.recommend(worker.serving(), RecommendRequest(customer_id="c00001"))
        told.send("")


ROLES = {"events": write_events, "lists": publish, "scoring": score_all, "loading": follow}
SHARES = {"events": 6, "lists": 5, "scoring": 4, "loading": 5}


def load_models(shelf: Shelf) -> dict[str, Any]:
    """Load the models from their folders, as the registry does."""
    folders = sorted((shelf.home.parent / "models").iterdir())
    return {folder.name: model_class(folder.name).load(folder) for folder in folders}


def _score(shelf: Shelf, build: Any, models: Mapping[str, Any], versions: dict[str, str]) -> None:
    """Call the real ``score``, with models that come from no registry."""

    with (
        mock.patch.object(score, "Registry", registry_of(models, versions)),
        mock.patch.object(score, "Build", build),
    ):
        score.score(shelf.home, shelf.cutoff)


@dataclass(frozen=True)
class _Prebuilt:
    """Stands for ``Build``: what it makes was made before."""

    made: Snapshot
    folder: Path

    def __call__(self, shop: Shop, cutoff: datetime, *more: Any) -> "_Prebuilt":
        return self

    def snapshot(self) -> Snapshot:
        return self.made

    def save_more(self, folder: Path) -> None:
        for source in _files(self.folder):
            target = folder / source.relative_to(self.folder)
            if not target.exists() and source.name != "manifest.json":
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
