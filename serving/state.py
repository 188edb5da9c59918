"""What requests are answered from, and how a worker switches to the newest scoring without a pause."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import numpy as np

from features.arrays.dtypes import Bools, Doubles
from features.errors import ArtefactError, NotFound
from features.storage.files import locked, replacing
from serving.online.view import View
from serving.persons.marks import ErasedCustomers
from serving.scoring.folder import write_durably
from serving.scoring.snapshot import Snapshot

log = logging.getLogger("recompra.serving")
POINTER = "serving.json"
REFUSED = "refused.json"
REGISTRY = "registry.json"
SERVED = "served.ndjson"
"""A line for each scoring put in service, with the moment: which versions answered when."""


BUSY = 75
"""Exit code of a scoring during another one (``EX_TEMPFAIL`` of sysexits)."""


@dataclass(frozen=True)
class Pointer:
    """The content of ``serving.json``: which scoring is in service."""

    stamp: str
    as_of: str
    models: Mapping[str, str]

    @classmethod
    def read(cls, home: Path) -> "Pointer":
        """Read it; raise ``NotFound`` before the first scoring, ``ArtefactError`` if it is broken."""
        try:
            card = json.loads((home / POINTER).read_text(encoding="utf-8"))
            return cls(str(card["lists"]), str(card["as_of"]), dict(card["models"]))
        except FileNotFoundError as error:
            raise NotFound("nothing has been scored yet", "run `recompra score`") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"{POINTER} cannot be read ({error})", "run `recompra score`") from error

    def move(self, home: Path) -> None:
        """Replace the previous pointer by this one, atomically; the caller is ``moving`` it."""
        card = {"lists": self.stamp, "as_of": self.as_of, "models": dict(self.models)}
        write_card(home / POINTER, card)
        _note(home, card)


@contextmanager
def moving(home: Path) -> Iterator[None]:
    """Let one process at a time move the pointer, or remove what another might move it to."""
    with locked(home / "serving.lock"):
        yield


def _note(home: Path, card: Mapping[str, object]) -> None:
    """Append to ``served.ndjson`` that this scoring serves from now on; a full disk is logged, no error."""
    try:
        since = datetime.fromtimestamp((home / POINTER).stat().st_mtime, UTC)
        with (home / SERVED).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": since.isoformat(), **card}) + "\n")
    except OSError as error:
        log.error("%s cannot be written: %s", SERVED, error)


def write_card(path: Path, card: Mapping[str, object]) -> None:
    """Replace a small JSON file, atomically."""
    with replacing(path) as place:
        write_durably(place, json.dumps(card, indent=1))


def registry_trouble(home: Path) -> str:
    """Return why the registry cannot be read, as written by the watcher; empty while it can."""
    try:
        return str(json.loads((home / REGISTRY).read_text(encoding="utf-8"))["trouble"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def refusal(home: Path) -> str | None:
    """Return why the registry's champions do not serve, as written by the watcher; None while they do."""
    try:
        return str(json.loads((home / REFUSED).read_text(encoding="utf-8"))["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class State:
    """The data of a request: a snapshot, a view of the store, and the current stock."""

    snapshot: Snapshot
    view: View
    stock: Doubles
    """Units on hand by product code, NaN if unknown; follows stock events."""
    eligible: Bools
    """Which products may be shown, by code: neither hidden nor sold out."""
    erased_customers: ErasedCustomers
    """Which customers were erased: see ``erased``."""

    @classmethod
    def of(cls, snapshot: Snapshot, view: View) -> "State":
        """Take the catalogue's stock and hidden flags, then the stock reports."""
        stock = np.array(snapshot.catalogue.stock, np.float64)
        eligible = ~(stock <= 0)
        if snapshot.goods_and_terms is not None:
            eligible &= ~snapshot.goods_and_terms[0].hidden
        state = cls(snapshot, view, stock, eligible, ErasedCustomers(snapshot.customers, snapshot.marks))
        state.restock(view.stock)
        return state

    @property
    def erased(self) -> Bools:
        """Which customers were erased, by code."""
        return self.erased_customers.mask(self.view.salt, self.view.erased)

    def restock(self, stock: Mapping[str, float]) -> None:
        """Apply stock reports; one for an unknown product changes nothing.

        A report from before the scoring counts if the scoring's own catalogue has no stock. Products the shop
        hides stay hidden, whatever their stock.
        """
        in_catalogue, offering = self.snapshot.catalogue.stock, self.snapshot.goods_and_terms
        for product_id, units in stock.items():
            code = self.snapshot.product(product_id)
            if code >= 0 and not (product_id in self.view.early and isfinite(in_catalogue[code])):
                hidden = offering is not None and bool(offering[0].hidden[code])
                self.stock[code], self.eligible[code] = units, units > 0 and not hidden
