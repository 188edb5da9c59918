"""The scorings on disk, and rollback to one of them: in service at once, while a new one is made.

Retained are the newest few, and the newest one by other versions than those in service. So after a promotion
there is something to roll back to, however many nights ago it was; for at most ``KEPT_DAYS``, since a scoring
contains people who may have been erased since (answers never name them).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from serving.state import SERVED, Pointer

N_RETAINED = 3
"""This many scorings are retained in any case, so that readers can finish and cursors stay valid."""
KEPT_DAYS = 28


@dataclass(frozen=True)
class KeptScoring:
    """A finished scoring on disk."""

    path: Path
    as_of: str
    models: Mapping[str, str]
    made_at: float
    """Unix time in seconds."""

    @property
    def pointer(self) -> Pointer:
        """The content of ``serving.json`` while it serves."""
        return Pointer(self.path.name, self.as_of, self.models)


def whole(home: Path) -> list[Path]:
    """Return the finished scorings, oldest first."""
    paths = [path for path in (home / "lists").glob("*-[0-9]*") if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: int(path.name.rsplit("-", 1)[-1]))


def scorings(home: Path) -> list[KeptScoring]:
    """Return the finished scorings that can be read, newest first."""
    return [scoring for path in reversed(whole(home)) if (scoring := _read(path)) is not None]


def _read(path: Path) -> KeptScoring | None:
    manifest = path / "manifest.json"
    try:
        card = json.loads(manifest.read_text(encoding="utf-8"))
        return KeptScoring(path, str(card["as_of"]), dict(card["models"]), manifest.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def outdated(home: Path) -> list[Path]:
    """Return the scorings that can be deleted."""
    paths, readable = whole(home), scorings(home)
    kept = {*paths[-N_RETAINED:], *(other.path for other in readable if _to_go_back_to(other, readable))}
    return [path for path in paths if path not in kept]


def _to_go_back_to(scoring: KeptScoring, newest_first: list[KeptScoring]) -> bool:
    now = newest_first[0]
    others = [other for other in newest_first if other.models != now.models]
    return scoring is others[0] and now.made_at - scoring.made_at < KEPT_DAYS * 86_400 if others else False


def served(home: Path, at: datetime) -> str:
    """Return in words which scoring answered at a moment, and by which versions."""
    before = [line for line in _noted(home / SERVED) if datetime.fromisoformat(line["at"]) <= at]
    if not before:
        return f"no scoring is known to have served at {at:%Y-%m-%d %H:%M:%S} UTC"
    line = before[-1]  # of a time that a clock set back shows twice, the second
    return f"{line['lists']} answered, in service since {line['at'][:19]} UTC: {in_words(line['models'])}"


def in_words(versions: Mapping[str, str]) -> str:
    """Return versions as people read them: ``churn v2, ltv v1``."""
    return ", ".join(f"{name} v{version}" for name, version in versions.items())


def _noted(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the readable lines: one may have been cut short by a full disk."""
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        with suppress(ValueError):
            yield json.loads(line)


def way_back(home: Path, wanted: Mapping[str, str], *, served: Mapping[str, str]) -> Pointer | None:
    """Return the retained scoring to serve until one by ``wanted`` versions is made; None for no change.

    The newest by exactly the wanted versions; or, if a model was rolled back, the one nearest to the wanted
    versions among those with nothing newer than wanted, and no model fewer than now.
    """
    kept = scorings(home)
    for scoring in kept:
        if dict(scoring.models) == dict(wanted):
            return scoring.pointer
    if not _newer(served, wanted):
        return None
    needed = served.keys() & wanted.keys()
    fitting = [one for one in kept if one.models.keys() >= needed and not _newer(one.models, wanted)]
    best = max(fitting, key=lambda scoring: len(scoring.models.items() & wanted.items()), default=None)
    return best.pointer if best else None


def _newer(models: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether any model is of a newer version than wanted, or not wanted at all."""
    return any(name not in wanted or int(version) > int(wanted[name]) for name, version in models.items())
