"""Erasure of a customer: from the store at once, then from every file of the home; and its proof.

Files are cleaned of everybody whose digest the store keeps, whoever asked and whenever; so an interrupted
sweep is simply repeated, and what an old backup or a scoring in progress brings back is removed by the next.
The watcher sweeps after an erasure by HTTP; ``recompra erase`` sweeps before it ends.
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from features.errors import ArtefactError, Busy, InputError, NotFound, RecompraError
from features.storage.contracts import id_of
from features.storage.files import locked
from serving.entrance.audit import Audit
from serving.online.tables import CLOCK
from serving.persons.held import online
from serving.persons.remains import Search, search
from serving.persons.rights import Forgotten, digest_of, forget, scrub
from serving.scoring.kept import whole
from serving.state import Pointer, moving, write_card
from serving.store import Store
from serving.watching.orphan import end_with, with_last_words

log = logging.getLogger("recompra.erasure")
MARK, LOCK, PROOFS = "erased.json", "erasing.lock", "erasures"
WAIT_SECONDS = 900.0
"""Maximum time that another scoring or ingest may delay a sweep."""


@dataclass
class SweptFiles:
    """What a sweep removed from the files."""

    warehouse: dict[str, int] = field(default_factory=dict)
    """Rows by table, of the version in use."""
    older_versions: int = 0
    """Rows of earlier versions."""
    scorings_removed: list[str] = field(default_factory=list)
    scored_anew: str | None = None
    """The scoring that replaced them; None if no erased customer was in one."""
    failed: str | None = None
    """Why a part failed; what it left is among the remains."""


@dataclass
class Certificate:
    """What an erasure removed where, and what a search of every file found afterwards."""

    digest: str
    """All that is kept: HMAC-SHA-256 of the id, with the salt of the store."""
    at: str
    store: dict[str, int]
    """Rows by table."""
    files: SweptFiles
    searched: Search
    store_rows_left: int

    @property
    def clean(self) -> bool:
        """Whether nothing is left."""
        return not self.searched.found and not self.store_rows_left and self.files.failed is None

    def card(self) -> dict[str, Any]:
        """Return plain data that names no customer."""
        return {"clean": self.clean, **asdict(self)}


def erase(home: Path, customer_id: str, *, now: datetime) -> Certificate:
    """Erase a customer, sweep the files, search them all, and store the certificate in the home.

    A running service obeys from its next request on. If a file could not be cleaned the certificate says so:
    run it again. It covers this home and its store, not backups or a tracking server elsewhere. Raises
    ``NotFound`` if there is no home, ``InputError`` for an empty id: a certificate of the wrong folder, or of
    nobody, would state that nothing is left.
    """
    customer_id = id_of(customer_id)
    if not customer_id:
        raise InputError("the customer's id is empty", "give the id of the customer to erase")
    home = home.resolve()
    if not any((home / name).exists() for name in ("warehouse", "online.db", "lists")):
        raise NotFound(f"{home} is no home: nothing is stored there", "set RECOMPRA_HOME to the shop's")
    with closing(Store.open(home)) as store:
        gone = forget(store, customer_id, now=now)
        digest = digest_of(store.salt(), customer_id).hex()
        swept = sweep(home, store)
        left = sum(len(rows) for rows in online(store, customer_id).values())
    made = Certificate(digest, now.isoformat(), gone, swept, search(home, customer_id), left)
    with closing(Audit(home)) as audit:
        audit.erased(digest, at=now, what={"by": "command", "clean": made.clean})
    (home / PROOFS).mkdir(exist_ok=True)
    write_card(home / PROOFS / f"{digest[:16]}.json", made.card())
    return made


def as_text(made: Certificate) -> str:
    """Return a certificate as text lines."""
    files, searched = made.files, made.searched
    where = (
        "every file"
        if searched.everywhere
        else "columns and fields of customers (the id is too short for more)"
    )
    lines = [
        f"erased on {made.at}; all that is kept is the digest {made.digest}",
        f"store: {_counts(made.store)}",
        f"warehouse: {_counts(files.warehouse)}; {files.older_versions} rows of versions before it",
        f"scorings removed: {', '.join(files.scorings_removed) or 'none'}; "
        f"in their place: {files.scored_anew or 'none'}",
        f"searched: {searched.n_files:,} files, {searched.n_bytes:,} bytes, in {where}",
    ]
    left = [*(f"{place}: {n}" for place, n in searched.found.items())]
    left += [f"the store: {made.store_rows_left} rows"] if made.store_rows_left else []
    lines += [f"could not be done: {files.failed}"] if files.failed else []
    lines += [f"left: {'; '.join(left)}"] if left else ["left: nothing"]
    return "\n".join([*lines, OUTSIDE])


OUTSIDE = "not covered: backups, files handed out before, a tracking server elsewhere, the shop's own systems"


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in rows.items() if n) or "nothing held"


def due(home: Path, store: Store) -> bool:
    """Return whether anybody was erased since the last sweep of the files."""
    return _n_erasures(store) > _swept(home)


def sweep(home: Path, store: Store) -> SweptFiles:
    """Remove all erased customers from the warehouse and the scorings, and from the database's free pages."""
    done = SweptFiles()
    with locked(home / LOCK):  # one sweep at a time
        seen, forgotten = _n_erasures(store), Forgotten.of(home)
        scrub(store)
        try:
            _sweep_warehouse(home, forgotten, done)
            _sweep_scorings(home, forgotten, done)
            write_card(home / MARK, {"erasures": seen})
        except RecompraError as error:
            done.failed = str(error)
    return done


def _sweep_warehouse(home: Path, forgotten: Forgotten, done: SweptFiles) -> None:
    from features.ingest.erasure import erase as take_out

    for left in _tries():
        try:
            taken = take_out(home, forgotten.among)
        except Busy:
            if left:
                continue
            raise
        done.warehouse, done.older_versions = taken.rows, taken.n_older_rows
        return


def _sweep_scorings(home: Path, forgotten: Forgotten, done: SweptFiles) -> None:
    """Remove the scorings that contain erased customers, after replacing the one in service."""
    from serving import score

    stale: list[Path] = []
    for left in _tries():
        try:
            stale, serving = holding(whole(home), forgotten), _in_service(home)
            if serving in stale:
                done.scored_anew = score.score(home, datetime.fromisoformat(Pointer.read(home).as_of))
            with score.locked(home):  # also removes what an interrupted scoring left
                if _remove({*stale, *holding(whole(home), forgotten)}, home, done):
                    return
        except Busy:
            if left:
                continue
            raise
        except Exception as error:  # whatever a model raises, older scorings are removed all the same
            _remove({*stale}, home, done)
            message = f"the scoring in service could not be replaced: {error}"
            raise ArtefactError(message, "fix the cause, then erase again") from error


def _remove(scorings: set[Path], home: Path, done: SweptFiles) -> bool:
    """Remove scorings, save the one in service; return whether none of them is.

    Those that a new scoring has retired are gone already.
    """
    with moving(home):  # the watcher may have gone back to one of them
        serving = _in_service(home)
        for path in sorted(scorings - {serving}):
            if path.is_dir():
                shutil.rmtree(path)
            if path.name not in done.scorings_removed:
                done.scorings_removed.append(path.name)
    return serving not in scorings


def holding(scorings: Sequence[Path], forgotten: Forgotten) -> list[Path]:
    """Return the scorings that name erased customers."""
    if not forgotten.digests:
        return []
    named = {path: _named(path) for path in scorings}
    gone = forgotten.among(list(set().union(*named.values())))
    return [path for path, names in named.items() if not names.isdisjoint(gone)]


def _named(scoring: Path) -> set[str]:
    """Return every customer whom a scoring names; none once another command has removed it."""
    try:
        return _read_names(scoring)
    except Exception:  # whatever is raised of a file that is gone
        if scoring.exists():
            raise
        return set()


def _read_names(scoring: Path) -> set[str]:
    """Return the customers in a scoring's arrays and tables."""
    import duckdb

    from features.storage.tables import literal

    named = {name.decode() for file in scoring.rglob("customers.npy") for name in np.load(file).tolist()}
    with duckdb.connect() as con:
        for file in scoring.rglob("*.parquet"):
            rows = f"read_parquet({literal(file)}, hive_partitioning = false)"
            names = {name for name, *_ in con.execute(f"DESCRIBE FROM {rows}").fetchall()}
            if "customer_id" in names:
                ids = con.execute(f"SELECT DISTINCT customer_id FROM {rows} WHERE customer_id IS NOT NULL")
                named.update(name for (name,) in ids.fetchall())
    return named


def _in_service(home: Path) -> Path | None:
    try:
        return home / "lists" / Pointer.read(home).stamp
    except NotFound:
        return None


def _tries() -> Iterator[float]:
    """Yield once per second for a while; gives the seconds left, 0 at the last time."""
    until = time.monotonic() + WAIT_SECONDS
    while (left := until - time.monotonic()) > 0:
        yield left
        time.sleep(1)
    yield 0.0


def _n_erasures(store: Store) -> int:
    with store.read() as db:
        return int(db.execute(sa.select(CLOCK.c.erasures)).scalar_one())


def _swept(home: Path) -> int:
    try:
        return int(json.loads((home / MARK).read_text(encoding="utf-8"))["erasures"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def main(home: Path) -> int:
    """Sweep, for the watcher: on failure the last line of standard error is the reason."""
    with closing(Store.open(home)) as store:
        done = sweep(home.resolve(), store)
    if done.failed is not None:
        print(done.failed, file=sys.stderr)
        return 1
    log.info("erased from the files: %s", asdict(done))
    return 0


if __name__ == "__main__":
    os.nice(10)
    end_with(int(sys.argv[2]))
    sys.exit(with_last_words(lambda: main(Path(sys.argv[1]))))
