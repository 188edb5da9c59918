"""Past contacts as training rows: who was contacted or held out, what was known then, what followed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from features.arrays.dtypes import Doubles
from features.customer import OWN_FEATURES
from features.errors import CannotLearn
from features.shop import Shop
from features.window import midnight
from models.trials.trial import LEAST_PROPENSITY, Trial

CUSTOMER_DAYS = 1_000_000
"""Maximum product of customers and days whose features are computed in one scan."""
UNNAMED = "contact"
"""The name given to an action without one."""


@dataclass(frozen=True)
class ContactRows:
    """One row per contact (or per contact withheld from a held-out customer), oldest first."""

    contacts: pd.DataFrame
    """``customer_id, sent_at, action, treated, propensity, cost, n_orders, revenue``."""
    features: pd.DataFrame
    """The customer features as of the start of the day of ``sent_at``; null for customers not seen before."""

    def __len__(self) -> int:
        return len(self.contacts)

    @property
    def rows(self) -> Doubles:
        """The features as input of the trees, shape (n, columns)."""
        return self.features.to_numpy(float)

    @property
    def actions(self) -> list[str]:
        """The actions that any customer was contacted with, the most frequent first."""
        treated = self.contacts[self.contacts["treated"]]
        return [str(name) for name in treated["action"].value_counts().index]

    def of_action(self, action: str | None) -> "ContactRows":
        """Return an action's contacts and its control group; held-out rows without an action are in all."""
        if action is None:
            return self
        frame = self.contacts
        rows = (frame["action"] == action) | (~frame["treated"] & (frame["action"] == UNNAMED))
        return ContactRows(frame[rows].reset_index(drop=True), self.features[rows.to_numpy()])

    def trial(self) -> Trial:
        """Return the comparison by who ordered within the horizon.

        Raises ``CannotLearn`` with the reason if nobody was held out, or propensities are unknown or 0 or 1.
        """
        frame = self.contacts
        _check_comparable(frame)
        bought = (frame["n_orders"] > 0).to_numpy(float)
        return Trial.of(
            bought, frame["treated"], propensity=frame["propensity"], customer=frame["customer_id"]
        )


def read_contacts(
    shop: Shop, horizon_days: int, *, since: datetime, known_until: datetime, max_rows: int
) -> ContactRows:
    """Read the newest ``max_rows`` contacts sent after ``since`` whose horizon closed by ``known_until``.

    Raises ``CannotLearn`` if there are none.
    """
    if not shop.facts.has_contacts:
        raise CannotLearn(
            "there are no contacts to learn from",
            "record them in a table `contacts`: customer_id, sent_at, treated (false: held out), propensity",
        )
    frame = shop.contacted(horizon_days, since, known_until=known_until).tail(max_rows).reset_index(drop=True)
    if frame.empty:
        raise CannotLearn(
            f"no contact is {horizon_days} days old yet, so what they changed is not known",
            "wait until some are, or set a shorter horizon_days in recompra.toml",
        )
    frame = frame.astype({"treated": bool, "propensity": float, "cost": float, "customer_id": "str"})
    frame["action"] = frame["action"].fillna(UNNAMED).astype("str")
    _check_comparable(frame)  # before the features, which take longer
    frame = _open_to_chance(frame)
    return ContactRows(frame, features_then(shop, frame))


def _check_comparable(frame: pd.DataFrame) -> None:
    """Refuse contacts without a control group, or without recorded propensities."""
    if frame["treated"].all():
        raise CannotLearn(
            f"all {len(frame)} contacts were sent and nobody was held out, so the effect of a contact "
            "cannot be separated from the choice of customers",
            "hold out a share at random: rows with treated = false, and the propensity of each",
        )
    if frame["propensity"].isna().all():
        raise CannotLearn(
            "contacts have no propensity, so their effect cannot be separated from the choice of customers",
            "write the chance with which each was to be contacted; where a random half was, 0.5",
        )


def _open_to_chance(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out contacts that were certain, if others were random: only these can be compared.

    From a policy that contacts its best customers for certain and explores among the rest, only the rest can
    be learnt. If all were certain none is left out, and the comparison raises an error.
    """
    tried = frame["propensity"].between(LEAST_PROPENSITY, 1 - LEAST_PROPENSITY)
    return frame[tried | frame["propensity"].isna()].reset_index(drop=True) if tried.any() else frame


def features_then(shop: Shop, contacts: pd.DataFrame) -> pd.DataFrame:
    """Return the customer features of each contact, as of the start of its day in the shop's time zone."""
    days = {
        moment: midnight(pd.Timestamp(moment, tz=UTC).to_pydatetime(), shop.timezone)
        for moment in contacts["sent_at"].unique()
    }
    cutoff = contacts["sent_at"].map(days)
    known = [
        OWN_FEATURES.panel(shop.con, cutoffs, ids=ids, timezone=shop.timezone)
        for cutoffs, ids in _chunks(contacts["customer_id"], cutoff)
    ]
    panel = pd.concat(known)
    keys = pd.MultiIndex.from_arrays([cutoff, contacts["customer_id"]])
    return panel.reindex(keys).reset_index(drop=True)[OWN_FEATURES.names].astype(float)


def _chunks(
    customer: "pd.Series[Any]", cutoff: "pd.Series[Any]"
) -> Iterator[tuple[list[datetime], list[str]]]:
    """Yield days and the customers contacted on them, in batches whose product stays small."""
    days: list[datetime] = []
    ids: set[str] = set()
    for day, names in customer.groupby(cutoff):
        wider = ids | set(names)
        if days and len(wider) * (len(days) + 1) > CUSTOMER_DAYS:
            yield days, sorted(ids)
            days, wider = [], set(names)
        days, ids = [*days, day], wider
    if days:
        yield days, sorted(ids)
