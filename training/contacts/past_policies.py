"""What another policy would have earned: past decisions as a log on which policies are evaluated."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn, InputError
from features.ingest.sources import delimiter_of
from features.shop import Shop
from models.policy.actions import DO_NOTHING
from models.trials.contact_rows import features_then
from models.trials.learners import LearnerConfig
from models.trials.off_policy import Log, by_trees, cross_fitted, mean, value

RECORD = 'ask /next_best_offer with "record": true, and ingest the orders that follow'
"""How decisions with outcomes come about."""
FOLLOWED = "followed"
"""The policy that was in service."""
GIVEN = "given"
"""The policy that the caller supplied."""
MIN_DECISIONS = 200
"""Minimum number of decisions with a closed horizon to evaluate a policy."""


@dataclass(frozen=True)
class DecisionLog:
    """Decisions as a log on which other policies are evaluated."""

    shop: Shop
    decided: pd.DataFrame
    given: pd.DataFrame | None

    @property
    def policies(self) -> list[str]:
        """The policies evaluated: the one followed, nothing for all, each action for all, the one given."""
        tried = [str(name) for name in self.decided["action"].value_counts().index if name != DO_NOTHING]
        return [FOLLOWED, DO_NOTHING, *tried, *([] if self.given is None else [GIVEN])]

    @cached_property
    def actions(self) -> list[str]:
        """The actions that were tried, and nothing."""
        return sorted({*self.decided["action"], DO_NOTHING})

    def value(self, name: str) -> dict[str, Any]:
        """Return what a policy would have earned per decision.

        Raises ``CannotLearn`` if decisions are few, or the log does not cover the policy.
        """
        n = len(self.decided)
        if n < MIN_DECISIONS:
            raise CannotLearn(
                f"{MIN_DECISIONS} decisions with a known outcome are needed, found {n}",
                RECORD,
            )
        if name == FOLLOWED:
            who = np.unique(self.decided["customer_id"], return_inverse=True)[1]
            return {"mean": mean(self.decided["reward"].to_numpy(float), who)._asdict(), "n": n}
        return dict(value(self.log, self._chances(name), expected=self._expected).facts())

    @cached_property
    def log(self) -> Log:
        """The decisions with their propensities and rewards."""
        frame = self.decided
        return Log.of(
            [self.actions.index(action) for action in frame["action"]],
            frame["propensity"],
            reward=frame["reward"],
            n_actions=len(self.actions),
            customer=frame["customer_id"].to_numpy(str),
        )

    @cached_property
    def _expected(self) -> Doubles:
        then = features_then(self.shop, self.decided.assign(sent_at=self.decided["moment"]))
        return cross_fitted(self.log, then.to_numpy(float), fit=by_trees(LearnerConfig(n_trees=40)))

    def _chances(self, name: str) -> Doubles:
        """Return a policy's probabilities of every action, shape (n, n_actions): 1 for the one it takes."""
        wanted = pd.Series(name, index=self.decided.index)
        if name == GIVEN and self.given is not None:
            named = self.given.drop_duplicates("customer_id").set_index("customer_id")["action"]
            wanted = self.decided["customer_id"].map(named).fillna(DO_NOTHING)
        unknown = sorted(set(wanted) - set(self.actions))
        if unknown:
            tried = ", ".join(self.actions)
            raise CannotLearn(
                f"the policy takes {unknown[0]!r}, which was never tried", f"tried were {tried}"
            )
        return np.asarray(wanted.to_numpy()[:, None] == np.array(self.actions)[None, :], np.float64)


def read_policy(file: Path) -> pd.DataFrame:
    """Read another policy: ``customer_id, action``, one row per customer, CSV or Parquet.

    Raises ``InputError`` if the file is no such table.
    """
    try:
        frame = _read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"cannot read the policy {file}: {error}", "give a .csv or .parquet file") from error
    missing = {"customer_id", "action"} - set(frame.columns)
    if missing:
        raise InputError(
            f"column {min(missing)!r} missing from the policy; found {list(frame.columns)}",
            "one row per customer: customer_id, action",
        )
    return frame.astype({"customer_id": str, "action": str})


def _read_csv(file: Path) -> pd.DataFrame:
    """Read every cell as text: an id may be "NA"."""
    return pd.read_csv(file, sep=delimiter_of(file), dtype=str, keep_default_na=False)
