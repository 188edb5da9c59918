"""Whether an answer is right; each check returns what is wrong, or an empty text."""

from dataclasses import dataclass, field
from typing import Any

from faults.home import version_of
from faults.truth import Truth, in_order, models_of

PERSONAL = ("for_you", "buy_again", "new_for_you")
FULL = ("for_you", "new_for_you", "popular")
"""Lists that hold as many products as are asked for, in a shop of many."""


@dataclass
class Person:
    """A customer whom one shopper alone changes: what of them was acknowledged, in order."""

    customer_id: str
    code: int
    events: list[str] = field(default_factory=list)
    bought: set[str] = field(default_factory=set)
    """What they ordered since the scoring, and did not return."""
    lines: int = 0
    """Orders and returns since the scoring."""
    erased: bool = False


@dataclass(frozen=True)
class Asked:
    """A request, who asked, and the time it took."""

    body: dict[str, Any]
    person: Person
    out: frozenset[str]
    """Products this shopper said are sold out."""
    unsure: frozenset[str]
    """Products whose stock any other shopper may be changing."""
    start: float
    end: float


def version(truth: Truth, asked: Asked, answer: dict[str, Any]) -> tuple[str, int]:
    """Return the one version an answer names, and what is wrong with it."""
    named = models_of(answer)
    if len(named) != 1:
        return f"versions are mixed: {answer['models']}", 0
    found = int(named.pop())
    allowed = truth.may_serve(asked.start, asked.end)
    if found not in allowed:
        return f"version {found} answered, {sorted(allowed)} serve", found
    truth.lag = max(truth.lag, asked.start - allowed[found])
    return "", found


def recommend(truth: Truth, asked: Asked, answer: dict[str, Any]) -> str:
    """Check a list: its version, its products, and the path it came by."""
    wrong, found = version(truth, asked, answer)
    shown = [product["product_id"] for product in answer["products"]]
    return wrong or _products(truth, asked, answer, shown) or _path(truth, asked, answer, shown, found)


def _products(truth: Truth, asked: Asked, answer: dict[str, Any], shown: list[str]) -> str:
    body, away = asked.body, truth.database_away(asked.start, asked.end)
    if answer["list"] != body["list"] or answer["customer_id"] != body.get("customer_id"):
        return "an answer to another question"
    if len({*shown}) != len(shown) or [one["rank"] for one in answer["products"]] != [
        *range(1, len(shown) + 1)
    ]:
        return "products or ranks twice"
    barred = {*body.get("exclude", ()), *body.get("cart", ())} | ({*()} if away else asked.out)
    if barred & {*shown}:
        return f"barred products are shown: {sorted(barred & {*shown})}"
    if len(shown) > body["k"] or (body["list"] in FULL and len(shown) < body["k"]):
        return f"{len(shown)} products where {body['k']} were asked for"
    if body["list"] == "new_for_you" and not away:
        old = {*shown} & asked.person.bought
        return f"bought before, and shown as new: {sorted(old)}" if old else ""
    return ""


def _path(truth: Truth, asked: Asked, answer: dict[str, Any], shown: list[str], found: int) -> str:
    body, person, path = asked.body, asked.person, answer["answered_from"]
    name = body["list"]
    if name == "popular":
        row = truth.versions[found].popular
    elif name in PERSONAL and person.code >= 0 and not body.get("cart"):
        if person.lines and path == "live":
            return ""
        if person.lines and not truth.database_away(asked.start, asked.end):
            return f"{person.lines} lines since are not seen (answered from {path})"
        row = truth.versions[found].rows[name][person.code]
    else:
        unknown = person.code < 0 and not person.lines and not body.get("cart")
        wanted = "fallback" if unknown or person.erased else "live"
        away = truth.database_away(asked.start, asked.end)
        return "" if path == wanted or away else f"answered from {path}, not {wanted}"
    if path == "ready" and any(version_of(one["score"]) != found for one in answer["products"]):
        return f"scores of another version than {found}"
    may_miss = {*body.get("exclude", ()), *asked.unsure, *asked.out}
    return (
        in_order(row, shown, body["k"], may_miss) if path == "ready" else f"answered from {path}, not ready"
    )


def offer(truth: Truth, asked: Asked, answer: dict[str, Any]) -> str:
    """Check a decision."""
    wrong, _ = version(truth, asked, answer)
    if wrong or answer["customer_id"] != asked.person.customer_id:
        return wrong or "an answer to another question"
    barred = {*asked.body.get("exclude", ()), *asked.out}
    if answer["product_id"] in barred and not truth.database_away(asked.start, asked.end):
        return f"{answer['product_id']} is barred and offered"
    kinds = {"offer": True, "contact": False, "nothing": False}
    named = answer["product_id"] is not None
    return (
        "" if kinds[answer["action"]] == named else f"{answer['action']} with product {answer['product_id']}"
    )


def profile(truth: Truth, asked: Asked, answer: dict[str, Any]) -> str:
    """Check what is known of a customer: every acknowledged event, once, newest first."""
    wrong, found = version(truth, asked, answer)
    if wrong:
        return wrong
    held = [event["event_id"] for event in answer["events"]]
    if held != asked.person.events[::-1][:100]:
        return f"events {held[:5]}... ({len(held)}), acknowledged {asked.person.events[::-1][:5]}..."
    known = asked.person.code >= 0 and not asked.person.erased
    if known != answer["known"] or (known and answer["scores"]["version"] != found):
        return f"known {answer['known']}, scores of version {answer['scores'].get('version')}, not {found}"
    return ""


def page(truth: Truth, asked: Asked, answer: dict[str, Any], first_row: int, of: int) -> str:
    """Check a page of scores: whose, of which version, and their sum."""
    found = int(models_of(answer).pop())
    if of and found != of:
        return f"a walk through version {of} came to version {found}"
    if not of and (wrong := version(truth, asked, answer)[0]):
        return wrong
    rows, last = answer["scores"], first_row + len(answer["scores"])
    if [row["customer_id"] for row in rows] != truth.customers[first_row : first_row + asked.body["limit"]]:
        return f"other customers than {first_row} and on"
    if {row["version"] for row in rows} != {float(found)}:
        return f"rows of { ({row['version'] for row in rows}) } on a page of version {found}"
    total = sum(row["expected_margin_28d"] or 0.0 for row in rows)
    right = sum(truth.versions[found].margin[first_row:last])
    return "" if abs(total - right) < 1e-6 else f"the margins add up to {total}, not {right}"


def targets(truth: Truth, asked: Asked, answer: dict[str, Any]) -> str:
    """Check a choice under a budget."""
    wrong, _ = version(truth, asked, answer)
    ids = [row["customer_id"] for row in answer["targets"]]
    if wrong or len({*ids}) != len(ids):
        return wrong or "a customer twice"
    if answer["spent"] > asked.body["budget"] + 1e-6:
        return f"{answer['spent']} spent of {asked.body['budget']}"
    return "" if len(ids) <= asked.body["limit"] else "too many"


def plan(truth: Truth, asked: Asked, answer: dict[str, Any]) -> str:
    """Check a calendar: only who was asked for, and nobody twice on a day."""
    wrong, _ = version(truth, asked, answer)
    ids = {row["customer_id"] for row in answer["contacts"]}
    days = {(row["customer_id"], row["on"]) for row in answer["contacts"]}
    if wrong or not ids <= {*asked.body["customer_ids"]}:
        return wrong or "somebody who was not asked for"
    return "" if len(days) == len(answer["contacts"]) else "a customer twice on a day"
