"""One scoring: all customers, all champions, as of one moment, in a folder of its own.

The folder is built beside the others and the pointer moves last, so that readers see the old scoring or the
new one, never a mixture, whenever this is interrupted.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from features.errors import Busy, RecompraError, SettingsError
from features.shop import Shop
from features.storage import files
from features.window import local_day
from models.chance.horizon import sentence
from serving.persons.rights import Forgotten
from serving.registry import Registry, versions_of
from serving.scoring.build import Build
from serving.scoring.folder import load, write
from serving.scoring.kept import in_words, outdated, whole
from serving.state import BUSY, Pointer, moving
from serving.watching import drift
from serving.watching.orphan import end_with, with_last_words

log = logging.getLogger("recompra.score")


def score(home: Path, as_of: datetime | None = None, *, now: datetime | None = None) -> str:
    """Score every customer with every champion, write ``lists/<stamp>/``, and put it in service.

    ``as_of`` defaults to the end of the last day with an order; with ``now``, if that day is not over, to the
    moment after the last order, so that events posted later today count; for the same reason a later
    ``as_of`` is ``now``. Returns the stamp.

    Raises ``NotFound`` without a warehouse or a champion, ``Busy`` during another scoring, ``SettingsError``
    for a moment before the first order or in the future, or if a champion changed meanwhile (a scoring begun
    before a rollback must not undo it), and whatever a model raises; the previous scoring then stays in
    service.
    """
    home = home.resolve()
    shop = Shop(home)
    cutoff = end_of_orders(shop, now) if as_of is None else moment_of(shop, as_of, now=now)
    cutoff = cutoff if as_of is None or now is None else min(cutoff, now)
    with locked(home):
        registry = Registry(home)
        models, versions = registry.load()
        stamp = next_stamp(home, cutoff)
        building = home / "lists" / f".{stamp}"
        build = Build(shop, cutoff, models, versions, Forgotten.of(home, make=True))

        def more(folder: Path) -> None:
            build.save_more(folder)
            drift.keep(folder, home, versions=versions, cutoff=cutoff)

        write(building, build.snapshot(), more=more)
        load(building)  # what cannot be read back is not put in service
        _settle(building)
        os.replace(building, home / "lists" / stamp)
        with moving(home):
            _check_champions(registry, versions)
            Pointer(stamp, cutoff.isoformat(), versions).move(home)
            _tidy(home)
    log.info("in service: %s, by %s", stamp, in_words(versions))
    return stamp


def notes(home: Path, stamp: str) -> list[str]:
    """Return the caveats on a scoring's scores, in the shop's language."""
    card = json.loads((home / "lists" / stamp / "manifest.json").read_text(encoding="utf-8"))
    return [sentence(note, card["locale"]) for note in card["notes"]]


def _check_champions(registry: Registry, versions: Mapping[str, str]) -> None:
    try:
        now = versions_of(registry.champions())
    except RecompraError as error:  # there is no sign of a change
        return log.warning("the champions are taken as before: %s", error)
    if now != versions:
        before, after = in_words(versions), in_words(now)
        raise SettingsError(
            f"the champions changed during this scoring, from {before} to {after}", "score again"
        )


def moment_of(shop: Shop, as_of: datetime | None = None, *, now: datetime | None = None) -> datetime:
    """Return the moment to score at: ``as_of``, else the end of the last day with an order.

    Raises ``SettingsError`` if nothing was ordered before it, or it is in the future by more than the day
    until the next midnight.
    """
    if as_of is None:
        return end_of_orders(shop)
    days = [local_day(moment, shop.timezone) for moment in (shop.warehouse.first_at, shop.warehouse.last_at)]
    hint = f"orders run from {days[0]} to {days[1]}: take another --as-of"
    if as_of <= shop.warehouse.first_at:
        raise SettingsError(f"nothing was ordered before {local_day(as_of, shop.timezone)}", hint)
    if now is not None and as_of > now + timedelta(days=1):
        message = f"{local_day(as_of, shop.timezone)} is in the future: orders until then are not known yet"
        raise SettingsError(message, hint)
    return as_of


def silence(home: Path, as_of: datetime | None) -> str:
    """Return a note if nothing is known of the days just before ``as_of``; otherwise empty."""
    shop = Shop(home)
    if as_of is None or as_of <= shop.last_midnight:
        return ""
    last, day = (local_day(moment, shop.timezone) for moment in (shop.warehouse.last_at, as_of))
    return f"the last known order is from {last}: nobody is assumed to have ordered from then to {day}"


def end_of_orders(shop: Shop, now: datetime | None = None) -> datetime:
    """Return the midnight, in the shop's zone, that ends the last day with an order.

    With ``now``, if that midnight is in the future: the moment after the last order (or ``now``, if orders
    claim to be in the future). Ingest keeps no orders over a day ahead unless it doubts the clock: then so
    do we, and the orders decide, since a clock that starts in 1970 must not empty the lists.
    """
    end, last = shop.last_midnight, shop.warehouse.last_at
    if now is None or end <= now:
        return end
    if last > now + timedelta(days=1):
        log.warning("the clock says %s, orders run to %s: they are taken as right", now, last)
        return end
    return min(last + timedelta(microseconds=1), now)


def next_stamp(home: Path, cutoff: datetime) -> str:
    """Return the name of the next scoring: its moment and a number that only grows."""
    numbers = [int(path.name.rsplit("-", 1)[-1]) for path in whole(home)]
    return f"{cutoff:%Y%m%dT%H%M}-{max(numbers, default=0) + 1:04d}"


def _settle(folder: Path) -> None:
    """Flush a scoring to disk: after a power cut, the pointer must not name an incomplete one."""
    for path in (folder, *folder.rglob("*")):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Lock this home's scoring, and remove what an interrupted one left, or this one if it fails."""
    lists = home / "lists"
    lists.mkdir(parents=True, exist_ok=True)
    with files.locked(lists / ".lock", Busy(f"another scoring is at work in {home}", "wait for it to end")):
        _sweep(lists)
        try:
            yield
        finally:
            _sweep(lists)


def _sweep(lists: Path) -> None:
    for left in lists.glob(".*-[0-9]*"):
        shutil.rmtree(left)


def _tidy(home: Path) -> None:
    """Remove old scorings; a worker that still maps one keeps its files until it closes them."""
    for path in outdated(home):
        files.remove(path, path.with_name(f".{path.name}"))


def main(home: Path, as_of: str) -> int:
    """Score, for the watcher; return ``BUSY`` during another scoring: it says nothing about the champions."""
    try:
        score(home, datetime.fromisoformat(as_of))
    except Busy:
        return BUSY
    return 0


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    sys.exit(with_last_words(lambda: main(Path(sys.argv[1]), sys.argv[3])))
