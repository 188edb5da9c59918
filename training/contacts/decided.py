"""Decisions and contacts with their outcomes, as rows for measurements.

A reward is the margin of a customer's orders in the horizon after a decision, minus the cost of the contact:
the recorded one, else the action's in the settings. Discounts reduce the margin in full, as they do not lower
the cost of goods. Of a customer's decisions within one horizon only the first counts, so that no order is
counted twice.
"""

from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from features.labels import followed
from features.shop import Shop
from features.window import naive_utc
from models.policy.actions import DO_NOTHING, catalogue
from models.policy.standing import draw_held_out
from models.trials.contact_rows import UNNAMED

SENT = ["customer_id", "sent_at", "contact_id", "action", "product_id", "treated", "propensity", "cost"]
"""The columns read of a contact."""


class Record:
    """One shop's decisions and contacts whose horizon has closed, with rewards in its currency."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.horizon_days = shop.settings.horizon_days

    @cached_property
    def costs(self) -> dict[str, float]:
        """The cost of a contact by action, for actions with a cost of their own."""
        actions = catalogue(self.shop.settings.actions)
        return {action.name: action.cost for action in actions if action.cost is not None}

    def decided(self, decisions: pd.DataFrame) -> pd.DataFrame:
        """Return the closed decisions, the first per customer and horizon, oldest first.

        Adds ``moment``, the columns of ``followed``, ``reward``, and whether the customer is ``treated`` or
        held out of all contacts, with the ``share_treated`` behind that draw; and whether it is ``compared``:
        taken when those drawn were held out already. A contact offered to one of them was before that.
        """
        moment = _naive(decisions["decided_at"])
        frame = decisions.assign(moment=moment, action=decisions["action"].fillna(DO_NOTHING))
        policy = self.shop.settings.contact_policy
        ids = np.array([name.encode() for name in frame["customer_id"]], dtype=np.bytes_)
        drawn = draw_held_out(ids, policy.held_out_share, salt=policy.held_out_salt)
        before = frame.loc[drawn & (frame["action"] != DO_NOTHING), "moment"].max()
        compared = (frame["moment"] > before) | pd.isna(before)
        frame = frame.assign(treated=~drawn, share_treated=1 - policy.held_out_share, compared=compared)
        frame = frame[frame["moment"] <= self._last].sort_values(["moment", "customer_id"])
        frame = _apart(frame, timedelta(days=self.horizon_days))
        return self._rewarded(frame, frame["action"] != DO_NOTHING)

    def sent(self, contacts: pd.DataFrame) -> pd.DataFrame:
        """Return the closed contacts of the service and of the warehouse, including those held out."""
        ours = contacts.assign(sent_at=_naive(contacts["sent_at"]))[SENT]
        long_ago = self.shop.warehouse.first_at - timedelta(days=36_500)
        theirs = self.shop.contacted(self.horizon_days, long_ago, known_until=self.shop.last_midnight)[SENT]
        parts = [part for part in (theirs, ours) if len(part)]
        frame = pd.concat(parts, ignore_index=True) if parts else ours
        again = frame["contact_id"].notna() & frame["contact_id"].duplicated()
        frame = frame[~again & (frame["sent_at"] <= self._last)].reset_index(drop=True)
        frame = frame.assign(
            action=frame["action"].fillna(UNNAMED),
            moment=frame["sent_at"],
            treated=frame["treated"].astype(bool),
            share_treated=frame["propensity"],
        )
        return self._rewarded(frame, frame["treated"])

    @property
    def _last(self) -> datetime:
        return naive_utc(self.shop.last_midnight) - timedelta(self.horizon_days)

    def _rewarded(self, frame: pd.DataFrame, contacted: "pd.Series[bool]") -> pd.DataFrame:
        after = followed(self.shop.con, frame, horizon_days=self.horizon_days)
        cost = frame["action"].map(self.costs).fillna(self.shop.settings.economics.contact_cost)
        if "cost" in frame:
            cost = pd.to_numeric(frame["cost"]).fillna(cost)
        paid, off = (after[name].fillna(0.0).to_numpy(float) for name in ("revenue", "discount"))
        margin = paid - self.shop.margin(self.shop.last_midnight).goods * (paid + off)
        reward = margin - cost.to_numpy(float) * contacted.to_numpy(float)
        return pd.concat([frame, after.assign(reward=reward)], axis=1)


def _apart(frame: pd.DataFrame, horizon: timedelta) -> pd.DataFrame:
    """Return each customer's first row, the first at least a ``horizon`` after that, and so on, in order.

    ``frame`` has ``customer_id`` and ``moment`` and is sorted by it. Each round takes one row per customer.
    """
    left, kept = frame, [frame.head(0)]
    while len(left):
        kept.append(left.drop_duplicates("customer_id"))
        open_from = kept[-1].set_index("customer_id")["moment"] + horizon
        left = left[left["moment"] >= left["customer_id"].map(open_from)]
    return pd.concat(kept).sort_values(["moment", "customer_id"], ignore_index=True)


def _naive(moments: "pd.Series[Any]") -> "pd.Series[Any]":
    return pd.to_datetime(moments, utc=True).dt.tz_localize(None).astype("datetime64[us]")
