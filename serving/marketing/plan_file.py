"""A plan for all customers as a file for a CRM, and as audiences for advertising platforms."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.arrays.dtypes import Ints
from features.errors import SettingsError
from features.shop import Shop
from features.storage.files import replacing
from features.words import counted
from models.texts import DEFAULT
from serving.marketing.candidates import everyone
from serving.marketing.files import as_csv, as_ndjson
from serving.marketing.period import Period, first_day
from serving.marketing.plan_rows import names_of, rows_of
from serving.marketing.planning import Planned, make_plan
from serving.marketing.retention import barred
from serving.offer_inputs import no_offers, switched_off
from serving.online.view import View
from serving.scoring.folder import load
from serving.state import Pointer, State
from serving.store import Store

FORMATS = ("csv", "ndjson", "json")
EMAILS = "SELECT customer_id, email FROM customers WHERE email IS NOT NULL ORDER BY customer_id"


@dataclass(frozen=True)
class Written:
    """Summary of a plan, for its user."""

    n_contacts: int
    n_customers: int
    spend: float
    expected_incremental_margin: float
    currency: str
    horizon_days: int
    """Each contact's margin is counted over this many days."""
    experiment: str | None
    switched_off: str | None

    def __str__(self) -> str:
        spent, earned = (
            f"{money:,.2f} {self.currency}".rstrip()
            for money in (self.spend, self.expected_incremental_margin)
        )
        whom = f"{counted(self.n_contacts, 'contact')} to {counted(self.n_customers, 'customer')}"
        within = f"within {counted(self.horizon_days, 'day')} of each"
        return f"{whom}, {spent} spent on them, {earned} of incremental margin expected after that, {within}"


@contextmanager
def opened(home: Path) -> Iterator[State]:
    """Open what a service of this home would answer from."""
    pointer, store = Pointer.read(home), Store.to_read(home)
    snapshot = load(home / "lists" / pointer.stamp)
    view = View(store, snapshot.as_of)
    try:
        yield State.of(snapshot, view)
    finally:
        view.close()
        store.close()


@dataclass(frozen=True)
class PlanAsked:
    """A plan as requested on the command line."""

    first: str | None = None
    """YYYY-MM-DD; None: today, or for a scoring of long ago its own day."""
    n_days: int = 28
    budget: float | None = None
    per_day: int | None = None

    def period(self, state: State, now: datetime) -> Period:
        """Return the period; raise ``SettingsError`` for an invalid day."""
        try:
            first = first_day(state, now) if self.first is None else date.fromisoformat(self.first)
        except ValueError as error:
            raise SettingsError(f"cannot read {self.first!r} as a day", "write YYYY-MM-DD") from error
        return Period(first, self.n_days, self.budget, self.per_day).check(state, now)


def write_plan(
    home: Path,
    asked: PlanAsked,
    *,
    now: datetime,
    kind: str | None = None,
    out: Path | None = None,
    audiences: Path | None = None,
) -> tuple[Written, bytes]:
    """Plan for everyone; write the plan to ``out``, and its audiences to a folder, if given.

    ``kind`` is by default the suffix of ``out``, or CSV. Returns the summary, and the file's content if there
    is no ``out``. Raises ``NotFound`` before the first scoring, and if no action can be weighed;
    ``SettingsError`` for an unsupported format.
    """
    kind = kind or (out.suffix[1:].lower() if out and out.suffix else FORMATS[0])
    if kind not in FORMATS:
        raise SettingsError(f"no format {kind!r}", f"the formats are {', '.join(FORMATS)}")
    with opened(home) as state:
        if state.snapshot.goods_and_terms is None:
            raise no_offers(state)
        period = asked.period(state, now)
        planned = make_plan(state, everyone(state), period=period, now=now, locale=state.snapshot.locale)
        content = content_of(
            state,
            planned,
            rows=rows_of(state, planned, period=period, locale=state.snapshot.locale),
            kind=kind,
        )
        if audiences is not None:
            write_audiences(home, state, plan=planned, folder=audiences, now=now)
        done = _written(state, planned)
    if out is None:
        return done, content
    with replacing(out) as file:
        file.write_bytes(content)
    return done, b""


def content_of(state: State, planned: Planned, *, rows: Sequence[dict[str, Any]], kind: str) -> bytes:
    """Return a plan in a format: one contact per line, or one JSON object with the plan's basis."""
    if kind == "csv":
        return as_csv(rows, names_of(state))
    if kind == "ndjson":
        return as_ndjson(rows)
    head = {
        "as_of": state.snapshot.moment,
        "models": state.snapshot.models,
        "currency": state.snapshot.currency,
        "experiment": _experiment(state, planned, state.snapshot.locale),
        "switched_off": switched_off(state, state.snapshot.locale),
        "contacts": rows,
    }
    return msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n"


def write_audiences(home: Path, state: State, *, plan: Planned, folder: Path, now: datetime) -> None:
    """Write ``include.csv`` and ``exclude.csv``: SHA-256 of e-mail addresses, as advertising platforms match.

    Included are customers whom the plan contacts; excluded are those whom a rule bars today: no consent, held
    out, an order on its way, an open return, enough contacts. Customers without an address, or who were
    erased, are in neither.
    """
    mails = digests(home, state)
    planned = np.zeros(len(mails), bool)
    planned[plan.codes[plan.calendar.row]] = True
    out = barred(state, now) & ~planned
    for name, chosen in (("include", planned), ("exclude", out)):
        some = mails[chosen & (mails != "")]
        with replacing(folder / f"{name}.csv") as file:
            file.write_text("\n".join(["email_sha256", *sorted(some)]) + "\n", encoding="utf-8")


def digests(home: Path, state: State) -> "np.ndarray[Any, np.dtype[np.str_]]":
    """Return the digest of each customer's address by code, empty without one."""
    rows = Shop(home).con.raw_sql(EMAILS).fetchall()
    codes: Ints = state.snapshot.customers.codes([row[0] for row in rows])
    mails = np.full(len(state.snapshot.customers), "", dtype="<U64")
    known = codes >= 0
    mails[codes[known]] = np.array([row[1] for row in rows], dtype="<U64")[known]
    mails[state.erased] = ""
    return mails


def _written(state: State, planned: Planned) -> Written:
    calendar = planned.calendar
    return Written(
        n_contacts=len(calendar),
        n_customers=len(np.unique(calendar.row)),
        spend=float(calendar.spend.sum()),
        expected_incremental_margin=float(calendar.worth.sum()),
        currency=state.snapshot.currency,
        horizon_days=state.snapshot.horizon_days,
        experiment=_experiment(state, planned, DEFAULT),
        switched_off=switched_off(state),
    )


def _experiment(state: State, planned: Planned, locale: str) -> str | None:
    taken = (planned.actions[code].name for code in np.unique(planned.calendar.action).tolist())
    return state.snapshot.experiment_for(state.snapshot.effect_of(taken), locale)
