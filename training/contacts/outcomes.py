"""What decisions earned: they are joined with the orders that followed, and compared with those held out.

Three questions, each answered with an interval, or with what is still needed to answer it:

- did contacting pay? The customers held out against the others, and each action against its own held out;
- what would another policy have earned? IPS, SNIPS and doubly robust, from the logged propensities;
- was what was offered bought, and was it new to the customer (cross-sell)?
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import CannotLearn
from features.shop import Shop
from features.storage.files import replacing
from features.window import shift_days
from models.trials.power import propose
from models.trials.trial import Trial, Z
from training.contacts.decided import Record
from training.contacts.past_policies import RECORD, DecisionLog

WEEKS = 12
"""Customers per week are estimated from this many weeks."""


@dataclass(frozen=True)
class Outcomes:
    """The results as plain data, and what could not be measured yet, in words."""

    horizon_days: int
    currency: str
    n_decisions: int
    n_closed: int
    """Decisions whose horizon has closed, one per customer and horizon."""
    uplift: Mapping[str, Any] = field(default_factory=dict)
    """By comparison (``policy``, or an action): change in the chance to order, and in the margin."""
    policies: Mapping[str, Any] = field(default_factory=dict)
    """By policy: its reward per decision."""
    actions: Mapping[str, Any] = field(default_factory=dict)
    """By action: decisions, share that bought what was offered, share to whom it was new, money."""
    not_yet: Mapping[str, str] = field(default_factory=dict)
    """What could not be measured yet, and why."""
    proposal: str = ""
    """The experiment that would measure it; empty if everything is known."""

    def write(self, file: Path) -> None:
        """Write everything as JSON."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        with replacing(file) as path:
            path.write_text(
                json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False), encoding="utf-8"
            )


def outcomes(
    home: Path, decisions: pd.DataFrame, *, contacts: pd.DataFrame, policy: pd.DataFrame | None = None
) -> Outcomes:
    """Join decisions and contacts with the orders that followed in the warehouse of ``home``.

    ``decisions`` (customer_id, decided_at, action, product_id, propensity, expected_margin) and ``contacts``
    (customer_id, sent_at, contact_id, action, product_id, treated, propensity) come from the service;
    contacts of the warehouse are added. ``policy`` (customer_id, action) is another policy to value;
    customers without a row get nothing.
    """
    record = Record(Shop(home))
    decided, sent = record.decided(decisions), record.sent(contacts)
    log = DecisionLog(record.shop, decided, policy)
    asked: dict[str, Callable[[], Any]] = {"uplift of policy": partial(uplift, decided[decided["compared"]])}
    for action, rows in sent.groupby("action"):
        asked[f"uplift of {action}"] = partial(uplift, rows)
    for name in log.policies:
        asked[f"policies of {name}"] = partial(log.value, name)
    answers, not_yet = _answered(asked)
    return Outcomes(
        horizon_days=record.horizon_days,
        currency=record.shop.settings.currency,
        n_decisions=len(decisions),
        n_closed=len(decided),
        actions={str(action): rates(rows) for action, rows in decided.groupby("action")},
        not_yet=not_yet,
        proposal=_needed(record) if not_yet else "",
        **answers,
    )


def _answered(
    asked: Mapping[str, Callable[[], Any]],
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the answers by kind and name, and why others are not available yet."""
    answers: dict[str, dict[str, Any]] = {"uplift": {}, "policies": {}}
    not_yet: dict[str, str] = {}
    for question, answer in asked.items():
        kind, name = question.split(" of ", 1)
        try:
            answers[kind][name] = answer()
        except CannotLearn as error:
            not_yet[question] = str(error)
    return answers, not_yet


def uplift(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the effect of contacts on a customer, by comparison with those held out.

    ``rows`` are of a ``Record``. Raises ``CannotLearn`` if there is too little to compare.
    """
    if rows.empty:
        raise CannotLearn(
            "no decision has a known outcome yet, of those since customers are held out", RECORD
        )
    if rows["treated"].all():
        raise CannotLearn(
            f"none of the {len(rows):,} recorded was held out",
            "set held_out_share in [contact_policy] of recompra.toml",
        )
    known = {"propensity": rows["share_treated"], "customer": rows["customer_id"]}
    ordered = Trial.of((rows["n_orders"] > 0).to_numpy(float), rows["treated"], **known)
    margin = Trial.of(rows["reward"].to_numpy(float), rows["treated"], **known).effect
    n_treated = int(rows["treated"].sum())
    return {
        "n_treated": n_treated,
        "n_held_out": len(rows) - n_treated,
        "order_rate_held_out": ordered.base,
        "order_rate": ordered.effect._asdict(),
        "margin_a_customer": margin._asdict(),
        "margin_earned": {name: figure * n_treated for name, figure in margin._asdict().items()},
    }


def rates(rows: pd.DataFrame) -> dict[str, Any]:
    """Return, for one action's decisions, how often the offer was bought and was new, and the money."""
    offered = rows[rows["product_id"].notna()]
    new = offered[~offered["knew_product"].astype(bool)]
    return {
        "n": len(rows),
        "ordered": _share(rows["n_orders"] > 0),
        "bought_what_was_offered": _share(offered["bought_product"]),
        "cross_sold": _share(new["bought_product"]),
        "margin_expected": float(rows["expected_margin"].fillna(0.0).sum()),
        "margin_after_contact": float(rows["reward"].sum()),
    }


def _needed(record: Record) -> str:
    """Propose an experiment, from the number of customers and how often they order.

    The effect to detect is the one assumed of retention contacts, ``save_rate`` of those who leave.
    """
    shop, end = record.shop, record.shop.last_midnight
    cutoff = shift_days(end, -record.horizon_days, timezone=shop.timezone)
    seen = shop.customer_features(cutoff)["days_since_last_order"]
    active = seen.index[seen <= 7 * WEEKS]
    if not len(active):
        return ""
    ordered = shop.labels(cutoff, record.horizon_days, known_until=end).index
    base = float(active.isin(ordered).mean())
    effect = max((1 - base) * shop.settings.economics.save_rate, 0.001)
    return str(propose(len(active) / WEEKS, base, effect=effect, n_customers=len(seen)))


def _share(flags: "pd.Series[Any]") -> dict[str, float] | None:
    """Return a share with its interval (Wilson, 1927); None if there are no rows."""
    n = len(flags)
    if not n:
        return None
    share, z2 = float(flags.mean()), Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = float(np.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n * n))) / (1 + z2 / n)
    return {"value": share, "low": centre - half, "high": centre + half}
