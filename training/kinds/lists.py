"""Evaluation of lists: every figure for all, new and repeated purchases, and by group of buyers.

Each figure has one row per customer with a truth, so that intervals and differences are paired by customer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.arrays.dtypes import Bools, Doubles, Longs
from models.kinds import ListModel
from training.measures import list_metrics
from training.measures.criteria import CAPTURED, MEAN
from training.measures.holdout import SEGMENTS, Holdout
from training.measures.samples import Evaluation, Sample

DEPTHS = (10, 20)
"""Depths at which lists are measured."""


@dataclass(frozen=True)
class ListHits:
    """One method's lists and one truth; the rows are measured customers with a truth, in their order.

    ``hits`` and ``recommended`` (product codes, -1 for none) are customers x ranks; ``money`` is the revenue
    of each recommended product, ``spent`` that of the whole truth; both are None without prices.
    """

    customers: "pd.Index[str]"
    recommended: Longs
    hits: Bools
    n_true: Longs
    bought_before: Bools
    rarity: Doubles
    money: Doubles | None
    spent: Doubles | None

    @classmethod
    def of(cls, recommended: Longs, holdout: Holdout, *, segment: str) -> "ListHits":
        """Compare lists (customers x ranks) with the purchases of a segment."""
        customer, product = holdout.purchases[segment]
        able = holdout.measured.copy()
        able[np.setdiff1d(np.arange(len(able)), customer)] = False
        row, mine = np.flatnonzero(able), able[customer]
        customer, product = (np.cumsum(able) - 1)[customer[mine]], product[mine]
        recommended = recommended[row]
        money: Doubles | None = None
        total: Doubles | None = None
        if (spent := holdout.spent[segment]) is not None:
            money = list_metrics.hit_values(recommended, customer, product=product, value=spent[mine])
            total = np.bincount(customer, spent[mine], len(row)).astype(float)
        return cls(
            customers=holdout.customers[row],
            recommended=recommended,
            hits=list_metrics.hit_matrix(recommended, customer, product=product),
            n_true=np.bincount(customer, minlength=len(row)),
            bought_before=holdout.bought_before(row, recommended),
            rarity=holdout.rarity,
            money=money,
            spent=total,
        )

    def samples(self, k: int) -> Iterator[tuple[str, Sample]]:
        """Return the samples of the first ``k`` by figure."""
        for name, metric in list_metrics.RANKING.items():
            yield name, self._sample(metric(self.hits, self.n_true, k=k))
        yield "novelty", self._sample(list_metrics.novelty(self.recommended, self.rarity, k=k))
        yield "share_new", self._sample(list_metrics.share_new(self.recommended, self.bought_before, k=k))
        if self.money is not None and self.spent is not None:
            caught = self.money[:, :k].sum(axis=1)
            yield "revenue_recall", Sample(CAPTURED, self.customers, (caught, self.spent))

    def _sample(self, values: Doubles) -> Sample:
        known = ~np.isnan(values)
        return Sample(MEAN, self.customers[known], (values[known],))

    def curve(self) -> Doubles:
        """Return the mean recall of the first 1, 2, 3, ... positions."""
        curve: Doubles = (np.cumsum(self.hits, axis=1) / self.n_true[:, None]).mean(axis=0)
        return curve


def evaluate_lists(
    evaluation: Evaluation, model: ListModel, *, holdout: Holdout, predictions: pd.DataFrame, baselines: bool
) -> None:
    """Add the figures of a model's lists; with ``baselines`` theirs, and the model's further figures."""
    measure_lists(evaluation, model.name, frame=predictions, holdout=holdout)
    if not baselines:
        return
    customer, product = holdout.purchases["new"]
    evaluation.plain[model.name] |= model.figures(
        holdout.state(model),
        holdout.customers[customer].tolist(),
        products=holdout.products[product].tolist(),
    )
    who = holdout.customers[holdout.measured].tolist()
    others = model.baselines(
        holdout.shop, model.trained_until, cutoff=holdout.cutoff, k=max(DEPTHS), customers=who
    )
    for name, frame in others.items():
        measure_lists(evaluation, name, frame=frame, holdout=holdout)


def measure_lists(evaluation: Evaluation, method: str, *, frame: pd.DataFrame, holdout: Holdout) -> None:
    """Add the figures of one method's recommendations.

    Keys are ``"ndcg@10 new"`` for everyone with a truth, ``"ndcg@10 new of heavy buyers"`` for a part.
    """
    samples, plain = evaluation.samples.setdefault(method, {}), evaluation.plain.setdefault(method, {})
    for list_name, segment in SEGMENTS.items():
        recommended = holdout.matrix(frame[frame["list"] == list_name], max(DEPTHS))
        measured = ListHits.of(recommended, holdout, segment=segment)
        for k in DEPTHS:
            for name, sample in measured.samples(k):
                samples[f"{name}@{k} {segment}"] = sample
            shown = recommended[holdout.measured]
            plain[f"coverage@{k} {segment}"] = list_metrics.coverage(shown, holdout.catalogue, k=k)
        samples.update(_by_buyers(measured, holdout.buyers, segment))
        if len(measured.customers):
            evaluation.curves.setdefault(segment, {})[method] = measured.curve()


def _by_buyers(measured: ListHits, buyers: "pd.Series[Any]", segment: str) -> dict[str, Sample]:
    """Return the figures at the first depth for new, light and heavy buyers, if there are any."""
    k, figures = DEPTHS[0], {}
    samples = dict(measured.samples(k))
    for kind, ids in buyers.groupby(buyers).groups.items():
        for name, sample in samples.items():
            part = sample.take(pd.Index(ids))
            if len(part.customers):
                figures[f"{name}@{k} {segment} of {kind} buyers"] = part
    return figures
