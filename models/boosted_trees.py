"""Boosted trees as plain text: LightGBM (Ke et al., 2017), with settings that suit small shops too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from features.arrays.dtypes import Doubles, Longs
from features.errors import ArtefactError
from features.hardware import threads_for
from models.config import Config

if TYPE_CHECKING:
    from lightgbm import Booster


CONSTANT = "constant="
FEWEST_ROWS = 50
"""With fewer rows, or a constant target, the model is a constant."""


class TreesConfig(Config):
    """How the trees are grown."""

    n_trees: int = Field(default=200, ge=1)
    """Number of trees."""
    n_leaves: int = Field(default=7, ge=2, le=40)
    """Leaves per tree: few, because what is learnt in one window must hold in the next (40: ``_kinds``)."""
    min_leaf_rows: int = Field(default=100, ge=1)
    """Minimum number of rows in a leaf."""
    learning_rate: float = Field(default=0.03, gt=0, le=1)
    """Shrinkage: the share of each tree's output that is added."""


@dataclass(frozen=True)
class Trees:
    """Fitted trees: ``text`` is LightGBM's own format; empty for a constant."""

    text: str
    constant: float = 0.0

    @classmethod
    def fit(
        cls,
        objective: str,
        rows: Doubles,
        *,
        target: Doubles,
        config: TreesConfig,
        weight: Doubles | None = None,
        any_threshold: bool = False,
    ) -> Self:
        """Grow trees for ``rows``, shape (n, columns), NaN where unknown, and ``target``, shape (n,).

        ``objective`` is one of LightGBM's; a constant model is on the scale of its raw scores. ``weight`` are
        the rows' weights, shape (n,), with mean 1. With ``any_threshold`` split thresholds are drawn at
        random (Geurts, Ernst and Wehenkel, 2006): such trees differ more from each other, and average better.
        """
        if len(target) < FEWEST_ROWS or not np.ptp(target):
            return cls("", _constant(objective, target))
        import lightgbm

        data = lightgbm.Dataset(rows, target, weight=weight, free_raw_data=True)
        params = _params(objective, config, rows.size) | {"extra_trees": any_threshold}
        booster = lightgbm.train(params, data, num_boost_round=config.n_trees)
        return cls(str(booster.model_to_string()))

    def raw(self, rows: Doubles) -> Doubles:
        """Return raw scores (logit, log or the value itself, by the objective) of each row, shape (n,)."""
        if not self.text or not len(rows):
            return np.full(len(rows), self.constant)
        scores = self._booster.predict(
            np.ascontiguousarray(rows), raw_score=True, num_threads=threads_for(rows.size)
        )
        return np.asarray(scores, dtype=np.float64)

    def contributions(self, rows: Doubles) -> Doubles:
        """Return what each column adds to each row's raw score (TreeSHAP), shape of ``rows``.

        A tree's few decisions part the rows into few kinds: LightGBM explains one row of each.
        """
        added, columns = np.zeros(rows.shape, order="F"), np.asfortranarray(rows)
        for number, (feature, threshold) in enumerate(self._decisions if len(rows) else ()):
            kind, example = _kinds(columns, feature, threshold)
            added_by_tree = self._booster.predict(
                rows[example], pred_contrib=True, num_threads=1, start_iteration=number, num_iteration=1
            )
            for column in set(feature.tolist()):
                added[:, column] += added_by_tree[kind, column]
        return added

    def gain(self, columns: list[str]) -> dict[str, float]:
        """Return each column's share of the total gain, summing to 1; empty for a constant."""
        if not self.text:
            return {}
        gains = self._booster.feature_importance("gain")
        return dict(zip(columns, (gains / max(gains.sum(), 1e-12)).tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write LightGBM's text, or the constant."""
        path.write_text(self.text or f"{CONSTANT}{self.constant!r}", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read back what ``save`` wrote; raise ``ArtefactError`` where it is missing."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"no readable {path.name} in {path.parent.name}/ ({error})"
            raise ArtefactError(problem, "train again") from error
        is_constant = text.startswith(CONSTANT)
        return cls("", float(text.removeprefix(CONSTANT))) if is_constant else cls(text)

    @cached_property
    def _decisions(self) -> list[tuple[Longs, Doubles]]:
        """Each tree's columns and thresholds, one a decision."""
        fields = [(tree.get("split_feature", ""), tree.get("threshold", "")) for tree in sections(self.text)]
        return [(np.array(a.split(), np.int64), np.array(b.split(), np.float64)) for a, b in fields]

    @cached_property
    def _booster(self) -> "Booster":
        import lightgbm

        try:
            return lightgbm.Booster(model_str=self.text)
        except lightgbm.basic.LightGBMError as error:
            raise ArtefactError(f"the saved trees cannot be read: {error}", "train again") from error


def sections(text: str) -> Iterator[Mapping[str, str]]:
    """Yield the fields of each tree in LightGBM's text, none for a constant."""
    for section in text.split("\nTree=")[1:]:
        yield dict(line.split("=", 1) for line in section.split("\n") if "=" in line)


def _kinds(columns: Doubles, feature: Longs, threshold: Doubles) -> tuple[Longs, Longs]:
    """Return each row's kind, and a row of each: alike on every decision (greater, not greater, unknown)."""
    import pandas as pd

    code = np.zeros(len(columns), np.int64)  # three outcomes a decision: 39 of them fit in
    for column, limit in zip(feature, threshold, strict=True):
        values = columns[:, column]
        code = code * 3 + (values > limit) + 2 * np.isnan(values)
    kind, kinds = pd.factorize(code)
    example = np.empty(len(kinds), np.int64)
    example[kind] = np.arange(len(kind))
    return kind, example


def _params(objective: str, config: TreesConfig, n_cells: int) -> dict[str, Any]:
    """Return LightGBM's parameters; results are the same for any number of threads."""
    return {
        "objective": objective,
        "num_leaves": config.n_leaves,
        "min_data_in_leaf": config.min_leaf_rows,
        "learning_rate": config.learning_rate,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
        "lambda_l2": 20.0,
        "seed": config.seed,
        "num_threads": threads_for(n_cells),
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def _constant(objective: str, target: Doubles) -> float:
    if objective == "binary":
        share = (target.sum() + 0.5) / (len(target) + 1)
        return float(np.log(share / (1 - share)))
    mean = float(target.mean()) if len(target) else 0.0
    return float(np.log(max(mean, 1e-6))) if objective in {"poisson", "tweedie"} else mean
