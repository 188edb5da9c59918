"""What a peer may see of a cell: the catalogue's purchases before the cutoff, as codes, in time order."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

BLOCK = 256
"""Customers are scored so many at a time."""
LISTS = {"all": "for_you", "new": "new_for_you"}
"""Which list answers which truth."""


@dataclass(frozen=True)
class World:
    """Purchases of coded customers and catalogue products; ``cutoff_day`` counts days as ``day`` does."""

    n_customers: int
    n_products: int
    cutoff_day: int
    events: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "World":
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        return cls(**card, events=pd.read_parquet(folder / "events.parquet"))

    @property
    def age(self) -> np.ndarray:
        """Days from each purchase to the cutoff."""
        return self.cutoff_day - self.events["day"].to_numpy()

    def matrix(self, weight: np.ndarray) -> csr_matrix:
        """Sum a weight of each purchase: customers x products."""
        at = (self.events["customer"].to_numpy(), self.events["product"].to_numpy())
        return csr_matrix((weight, at), (self.n_customers, self.n_products), dtype=np.float32)

    def counts(self, half_life: float | None = None) -> csr_matrix:
        """Count purchases, less with age where there is a half-life in days."""
        age = self.age
        return self.matrix(np.exp2(-age / half_life) if half_life else np.ones(len(age)))

    @cached_property
    def bought(self) -> csr_matrix:
        """Ones where a customer bought a product."""
        counts = self.counts()
        counts.data[:] = 1
        return counts

    def popularity(self, window: float) -> np.ndarray:
        """Distinct buyers of the last ``window`` days; all purchases break ties, always below one."""
        recent = self.matrix((self.age <= window).astype(np.float32))
        buyers = np.bincount(recent.indices[recent.data > 0], minlength=self.n_products)
        ever = np.bincount(self.events["product"], minlength=self.n_products)
        return buyers + ever / (ever.max() + 1.0)

    def top(self, scores, k: int) -> dict[str, np.ndarray]:
        """Rank the whole catalogue: for each list the best ``k`` products, customers x k; -1 for none.

        ``scores`` takes row numbers and returns customers x products; popularity breaks its ties.
        """
        tie = (self.popularity(56) / (self.n_customers + 1.0) * 1e-7).astype(np.float64)
        parts = {segment: [] for segment in LISTS}
        for start in range(0, self.n_customers, BLOCK):
            rows = np.arange(start, min(start + BLOCK, self.n_customers))
            score = np.asarray(scores(rows), np.float64) + tie
            parts["all"].append(best(score, k))
            score[self.bought[rows].nonzero()] = -np.inf
            parts["new"].append(best(score, k))
        return {segment: np.concatenate(part) for segment, part in parts.items()}


def best(score: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` best columns of each row in their order; -1 for what is barred."""
    some = np.argpartition(-score, k, axis=1)[:, :k]
    found = np.take_along_axis(score, some, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    ranked = np.take_along_axis(some, order, axis=1)
    return np.where(np.isfinite(np.take_along_axis(found, order, axis=1)), ranked, -1)
