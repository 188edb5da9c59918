"""One of the clients: its own customers, its own products' stock, and every answer checked."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from faults import oracle
from faults.oracle import Asked, Person
from faults.truth import Truth, now
from faults.wire import Answer, Line, Lost

RETRY_SECONDS = 0.25
MOST_EVENTS = 20
"""A customer with so many makes room for a new one."""
NEEDS_THE_STORE = (
    "/events",
    "/customer",
    "/next_best_offer",
    "/retention_targets",
    "/contact_plan",
    "/erase",
)
PAGE = 60


@dataclass
class Book:
    """What all clients saw."""

    times: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    reconnects: int = 0
    retries: int = 0
    violations: list[str] = field(default_factory=list)
    done: int = 0
    n_events: int = 0

    def wrong(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(what)


@dataclass
class Shopper:
    """A client; customers ``number::of`` are its own."""

    number: int
    of: int
    truth: Truth
    book: Book
    keys: dict[str, str]
    port: int
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Every event acknowledged, with its customer; those of erased customers are taken out."""
    order: list[str] = field(default_factory=list)
    """The same, in the order of acknowledgement."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.number)
        self.lines = [Line(self.port), Line(self.port)]
        mine = range(self.number, len(self.truth.customers), self.of)
        self.people = [Person(self.truth.customers[code], code) for code in mine]
        stocked = self.truth.products[20 : 20 + 2 * self.of]
        self.mine, others = {*stocked[self.number :: self.of]}, {*stocked}
        self.unsure = frozenset(others - self.mine)
        self.out: set[str] = set()
        self.newcomer = Person(f"n{self.number}-0", -1)
        self.count = 0
        self.last_event = datetime.now(UTC)

    async def shop(self, until: Callable[[], bool]) -> None:
        """Ask, as the mix says, until it is enough."""
        names, weights = zip(*MIX.items(), strict=True)
        while not until():
            what = self.random.choices(names, weights)[0]
            try:
                await getattr(self, f"_{what}")()
            except Exception as error:  # an answer of an unexpected form is a wrong answer
                self.book.wrong(f"{what}: {type(error).__name__} {error}"[:300])
        for line in self.lines:
            line.close()

    # --- asking ---

    async def _ask(
        self, path: str, body: Any, scope: str, *, method: str = "POST"
    ) -> tuple[Answer, float, int]:
        """Ask until there is an answer, over lost connections and an absent database: it, when, and tries."""
        tries = 0
        while True:
            line, start = self.random.choice(self.lines), now()
            try:
                answer = await line.ask(method, path, body, self.keys.get(scope, scope))
            except Lost as lost:
                self._lost(path, start, lost)
            else:
                self.book.done += 1
                self.book.statuses[path, answer.status] += 1
                if answer.status not in (503, 504):
                    if not tries:
                        self.book.times.setdefault(path, []).append(now() - start)
                    return answer, start, tries
                self._refused(path, start, answer)
                await asyncio.sleep(RETRY_SECONDS)
            tries += 1

    def _lost(self, path: str, start: float, lost: Lost) -> None:
        self.book.reconnects += 1
        if not self.truth.killed(start, now()):
            self.book.wrong(f"{path}: the connection was lost while no worker was killed ({lost})")

    def _refused(self, path: str, start: float, answer: Answer) -> None:
        self.book.retries += 1
        away = path in NEEDS_THE_STORE and self.truth.database_away(start, now())
        if not away or not answer.retry_after:
            self.book.wrong(f"{path}: {answer.status} {answer.body[:200]!r}, database away: {away}")

    async def _checked(self, path: str, body: dict[str, Any], scope: str, person: Person, check: Any) -> None:
        out = frozenset(self.out)
        answer, start, _ = await self._ask(path, body, scope)
        if answer.status != 200:
            self.book.wrong(f"{path}: {answer.status} {answer.body[:200]!r}")
            return
        asked = Asked(body, person, out, self.unsure, start, now())
        wrong = check(self.truth, asked, answer.json())
        if wrong:
            self.book.wrong(f"{path} {body}: {wrong}"[:500])

    # --- what is asked ---

    def _some(self, n: int) -> list[str]:
        return self.random.sample(self.truth.products, n)

    def _anybody(self) -> Person:
        return self.newcomer if self.random.random() < 0.1 else self.random.choice(self.people)

    async def _list(self) -> None:
        person = self._anybody()
        name = self.random.choice(oracle.PERSONAL)
        body = {"customer_id": person.customer_id, "list": name, "k": self.random.randint(1, 20)}
        body |= {"exclude": self._some(2)} if self.random.random() < 0.5 else {}
        await self._checked("/recommend", body, "storefront", person, oracle.recommend)

    async def _cart(self) -> None:
        person, lists = self.random.choice(self.people), (*oracle.PERSONAL, "bought_together", "upsell")
        body = {
            "customer_id": person.customer_id,
            "list": self.random.choice(lists),
            "k": 10,
            "cart": self._some(2),
        }
        await self._checked("/recommend", body, "storefront", person, oracle.recommend)

    async def _popular(self) -> None:
        body = {"list": "popular", "k": 10, "exclude": self._some(3)}
        await self._checked("/recommend", body, "storefront", Person("", -1), oracle.recommend)

    async def _offer(self) -> None:
        person = self._anybody()
        body = {"customer_id": person.customer_id, "exclude": self._some(1)}
        scope = self.random.choice(("storefront", "crm"))
        await self._checked("/next_best_offer", body, scope, person, oracle.offer)

    async def _profile(self) -> None:
        person = self._anybody()
        await self._checked("/customer", {"customer_id": person.customer_id}, "crm", person, oracle.profile)

    async def _targets(self) -> None:
        body = {"budget": self.random.randint(0, 30) / 2, "limit": 20}
        await self._checked("/retention_targets", body, "crm", self.newcomer, oracle.targets)

    async def _plan(self) -> None:
        ids = [person.customer_id for person in self.random.sample(self.people, 10)]
        body = {"customer_ids": ids, "days": 7}
        await self._checked("/contact_plan", body, "crm", self.newcomer, oracle.plan)

    async def _pages(self) -> None:
        body: dict[str, Any] = {"limit": PAGE}
        row, version, begun = 0, 0, now()
        for _ in range(3):
            answer, start, _ = await self._ask("/scores", body, "crm")
            if answer.status == 410 and version and self.truth.swaps_since(begun) > 1:
                return
            found = answer.json()
            asked = Asked(body, self.newcomer, frozenset(), frozenset(), start, now())
            wrong = (
                oracle.page(self.truth, asked, found, row, version) if answer.status == 200 else str(found)
            )
            if wrong:
                return self.book.wrong(f"/scores {body}: {wrong}"[:500])
            version, row = int(oracle.models_of(found).pop()), row + PAGE
            body = {"limit": PAGE, "cursor": found["next_cursor"]}

    async def _refusals(self) -> None:
        wanted: tuple[tuple[str, Any, str, int], ...] = (
            ("/recommend", {"k": 0}, "storefront", 400),
            ("/recommend", b"{", "storefront", 400),
            ("/scores", {}, "storefront", 403),
            ("/recommend", {}, "rk_00000000_wrong", 401),
        )
        path, body, scope, status = self.random.choice(wanted)
        answer, _, _ = await self._ask(path, body, scope)
        if answer.status != status:
            self.book.wrong(f"{path} {body!r}: {answer.status}, not {status}")

    async def _ready(self) -> None:
        answer, _, _ = await self._ask("/readyz", b"", "", method="GET")
        if answer.status != 200:
            self.book.wrong(f"/readyz: {answer.status} {answer.body!r}")

    # --- what happens ---

    def _event(self, person: Person, kind: str) -> dict[str, Any]:
        self.count += 1
        moment = self.last_event = max(datetime.now(UTC), self.last_event + timedelta(microseconds=1))
        event = {"event_id": f"e{self.number}-{self.count}", "kind": kind, "occurred_at": moment.isoformat()}
        if kind == "stock":
            product = self.random.choice(sorted(self.mine))
            return event | {"product_id": product, "stock": float(self.random.choice((0, 0, 5)))}
        event |= {"customer_id": person.customer_id}
        if kind == "contact":
            return event | {"channel": "email", "action": "cross_sell"}
        return event | {"product_id": self._some(1)[0], "quantity": 1.0}

    def _buyer(self) -> Person:
        if self.random.random() < 0.3:
            person = self.random.choice(self.people)
            if len(person.events) < MOST_EVENTS:
                return person
        if len(self.newcomer.events) >= MOST_EVENTS:
            self.newcomer = Person(f"n{self.number}-{self.count}", -1)
        return self.newcomer

    async def _events(self) -> None:
        person, n = self._buyer(), self.random.randint(1, 4)
        kinds = self.random.choices(("order", "return", "contact", "stock"), (80, 4, 4, 12), k=n)
        await self._post(person, [self._event(person, kind) for kind in kinds])

    async def _post(self, person: Person, events: list[dict[str, Any]]) -> None:
        """Post, and post the same again now and then: it is kept once."""
        body = {"events": events}
        for again in (False, True) if self.random.random() < 0.2 else (False,):
            answer, _, tries = await self._ask("/events", body, self.random.choice(("storefront", "crm")))
            if answer.status != 200:
                return self.book.wrong(f"/events: {answer.status} {answer.body[:200]!r}")
            found, n = answer.json(), len(events)
            new = found["accepted"]
            if new + found["duplicates"] != n or (again and new) or (not again and not tries and new != n):
                self.book.wrong(
                    f"/events: {new} of {n} new, {found['duplicates']} known, again {again}, tries {tries}"
                )
            if not again:
                self._keep(person, events)

    def _keep(self, person: Person, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.order.append(event["event_id"])
            self.acknowledged[event["event_id"]] = event.get("customer_id", "")
            if event["kind"] == "stock":
                (self.out.discard if event["stock"] else self.out.add)(event["product_id"])
                continue
            person.events.append(event["event_id"])
            if event["kind"] in ("order", "return"):
                person.lines += 1
                (person.bought.add if event["kind"] == "order" else person.bought.discard)(
                    event["product_id"]
                )

    async def _erase(self) -> None:
        """Order, be forgotten, order again: nothing may be left."""
        self.count += 1
        person = Person(f"x{self.number}-{self.count}", -1)
        await self._post(person, [self._event(person, "order"), self._event(person, "contact")])
        answer, _, tries = await self._ask("/erase", {"customer_id": person.customer_id}, "crm")
        gone = answer.json()
        if answer.status != 200 or (not tries and (gone["events"], gone["contacts"]) != (2, 1)):
            self.book.wrong(f"/erase: {answer.status} {gone}")
        for event_id in person.events:
            del self.acknowledged[event_id]
        person.events, person.bought, person.lines, person.erased = [], set(), 0, True
        answer, _, _ = await self._ask("/events", {"events": [self._event(person, "order")]}, "storefront")
        if answer.status != 200 or answer.json()["erased"] != 1:
            self.book.wrong(f"/events of an erased customer: {answer.status} {answer.body[:200]!r}")
        await self._checked("/customer", {"customer_id": person.customer_id}, "crm", person, oracle.profile)
        body = {"customer_id": person.customer_id, "list": "for_you", "k": 5}
        await self._checked("/recommend", body, "storefront", person, oracle.recommend)


MIX = {
    "list": 62,
    "cart": 10,
    "popular": 6,
    "events": 9,
    "offer": 4,
    "profile": 3,
    "pages": 0.6,
    "targets": 0.5,
    "plan": 0.4,
    "erase": 0.3,
    "refusals": 2.2,
    "ready": 2,
}
"""Shares of what is asked."""
