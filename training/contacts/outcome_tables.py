"""Outcomes for people: tables of figures by their names, and what is not known yet, in sentences."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from features.words import counted
from training.contacts.outcomes import Outcomes
from training.contacts.past_policies import FOLLOWED, GIVEN

if TYPE_CHECKING:
    from rich.table import Table


class Figure(NamedTuple):
    """A figure's name for people, and how it is written."""

    name: str
    form: str = "{:,.0f}"


SHARE, MONEY, POINTS = "{:.1%}", "{:,.2f}", "{:+.2f} points"
UPLIFT = {
    "n_treated": Figure("contacted"),
    "n_held_out": Figure("held out"),
    "order_rate_held_out": Figure("ordered, of those held out", SHARE),
    "order_rate": Figure("change of the share who ordered", POINTS),
    "margin_a_customer": Figure("margin earned by each, after its cost", MONEY),
    "margin_earned": Figure("margin earned by all of them", MONEY),
}
POLICIES = {
    "n": Figure("decisions"),
    "mean": Figure("margin per decision", MONEY),
    "ips": Figure("margin per decision (IPS)", MONEY),
    "snips": Figure("margin per decision (SNIPS)", MONEY),
    "dr": Figure("margin per decision (doubly robust)", MONEY),
    "n_effective": Figure("decisions it rests on, weighted"),
}
ACTIONS = {
    "n": Figure("decisions"),
    "ordered": Figure("ordered anything", SHARE),
    "bought_what_was_offered": Figure("bought what was offered", SHARE),
    "cross_sold": Figure("bought it, of those to whom it was new", SHARE),
    "margin_expected": Figure("margin expected of the decisions", MONEY),
    "margin_after_contact": Figure("margin of the orders that followed, after contacts", MONEY),
}
NAMES = {
    "uplift": {"policy": "all decisions"},
    "policies": {
        FOLLOWED: "as it was done",
        "nothing": "nobody is contacted",
        GIVEN: "the policy in the file",
    },
    "actions": {"nothing": "nobody contacted"},
}
QUESTIONS = {
    "uplift": ("Did contacts pay?", "contact", UPLIFT),
    "policies": ("What would have been earned?", "if", POLICIES),
    "actions": ("What followed the decisions?", "decision", ACTIONS),
}


def boards(results: Outcomes) -> "Iterator[Table]":
    """Yield a rich table per question that has an answer, with 95% intervals."""
    from rich.table import Table

    money = f", money in {results.currency}" if results.currency else ""
    within = f"within {counted(results.horizon_days, 'day')}"
    for kind, (question, what, figures) in QUESTIONS.items():
        out = Table(what, "figure", title=f"{question} ({within}{money})", title_justify="left")
        for column in ("value", "95% interval"):
            out.add_column(column, justify="right")
        for name, facts in getattr(results, kind).items():
            for figure, value in facts.items():
                if value is not None:
                    out.add_row(_name(kind, name), figures[figure].name, *_written(figures[figure], value))
        if out.row_count:
            yield out


def sentences(results: Outcomes) -> list[str]:
    """Return how much was decided, and what is not known yet: each reason once, with all it holds for."""
    decided = counted(results.n_decisions, "decision")
    said = [
        f"{decided} recorded; the outcome of {results.n_closed:,} is known (one per customer and horizon)"
    ]
    reasons: dict[str, dict[str, list[str]]] = {kind: {} for kind in QUESTIONS}
    for question, why in results.not_yet.items():
        kind, name = question.split(" of ", 1)
        reasons[kind].setdefault(why, []).append(_name(kind, name))
    for kind, unknown in reasons.items():
        said += [f"{QUESTIONS[kind][0]} Not known yet:"] if unknown else []
        said += [f"  {', '.join(names)}: {why}" for why, names in unknown.items()]
    return [*said, f"To find out whether contacts pay, {results.proposal}"] if results.proposal else said


def _name(kind: str, name: str) -> str:
    known = NAMES[kind].get(name)
    return known or (f"{name} to everyone" if kind == "policies" else name)


def _written(figure: Figure, value: Mapping[str, float] | float) -> tuple[str, str]:
    """Return a figure and its interval as text."""
    scale = 100 if figure.form == POINTS else 1
    if not isinstance(value, Mapping):
        return figure.form.format(value * scale), ""
    told: dict[str, Any] = {
        name: figure.form.format(value[name] * scale) for name in ("value", "low", "high")
    }
    return told["value"], f"{told['low']} to {told['high']}"
