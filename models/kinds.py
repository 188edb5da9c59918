"""The kinds of models: what a model of each kind answers, and so how it is compared with what happened.

A model inherits from one of these. ``training.evaluate`` judges by the kind, ``serving`` asks by it, and the
contracts of a kind (``tests/contracts``) iterate over its models.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from typing_extensions import TypeVar

from features.arrays.dtypes import Doubles, Ints
from features.shop import Shop
from models.measured import Measured
from models.model import C, Model

if TYPE_CHECKING:
    import pandas as pd

    from models.decisions.offer import ReadyLists
    from models.trials.trial import Trial

S = TypeVar("S", default=Any)
"""What a model's lists stand on as of a cutoff."""


class ListModel(Model[C], Generic[C, S]):
    """Lists of products for everybody, held against what they bought."""

    horizon_days: int

    @abstractmethod
    def state(self, shop: Shop, cutoff: datetime) -> S:
        """Return what lists stand on as of ``cutoff``."""

    @abstractmethod
    def recommend(
        self, state: S, customers: Sequence[str] | None = None, *, k: int, lists: Sequence[str]
    ) -> "pd.DataFrame":
        """Return lists of every customer of the state, or of ``customers``; the unknown get a fallback."""

    def baselines(
        self,
        shop: Shop,
        known_until: datetime,
        cutoff: datetime,
        k: int,
        customers: Sequence[str] | None = None,
    ) -> "Mapping[str, pd.DataFrame]":
        """Return what must be beaten, as frames like ``recommend``'s: of everyone, or of ``customers``."""
        return {}

    def figures(self, state: S, customers: Sequence[str], products: Sequence[str]) -> Mapping[str, float]:
        """Return what it tells of itself, given the first purchases that came: pairs by their ids."""
        return {}


class ScoreModel(Model[C]):
    """Scores and labels of everybody seen before the cutoff, held against what they did."""

    truths: ClassVar[dict[str, str]]
    """Column without horizon -> what it foretells of training's ``Holdout.truths``, as ``lapsed``."""

    @abstractmethod
    def predict_from(self, features: "pd.DataFrame", cutoff: datetime) -> "pd.DataFrame":
        """Return the scores from customer features as of ``cutoff``: each row by itself, any column order."""

    def predict(self, shop: Shop, cutoff: datetime, ids: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the scores of everyone seen before ``cutoff``, or of those in ``ids``.

        A customer never seen has no row; one who brought everything back is a customer without a purchase.
        """
        from models.customers.customer_panel import everyone

        return self.predict_from(everyone(shop, cutoff, ids), cutoff)

    def explain(self, shop: Shop, cutoff: datetime) -> "pd.DataFrame | None":
        """Return reasons as codes, one row a customer; None where a model gives none."""
        return None

    def places(self, shop: Shop, cutoff: datetime, truth: "pd.Series[Any]") -> "pd.DataFrame | None":
        """Return where each truth lies in what was foreseen: the shares ``below`` it and ``at_or_below`` it.

        None where no distributions are told.
        """
        return None

    def baselines(
        self, shop: Shop, known_until: datetime, cutoff: datetime, ids: Sequence[str]
    ) -> "pd.DataFrame":
        """Return one column a baseline, of the first truth; ``column:baseline`` says of which other."""
        import pandas as pd

        return pd.DataFrame(index=list(ids))


class PairModel(Model[C]):
    """What is said of customers with products, or of products: the model lays it beside what came."""

    @abstractmethod
    def measure(self, shop: Shop, cutoff: datetime, end: datetime) -> Iterable[Measured]:
        """Yield what we and the baselines said of ``[cutoff, end)`` beside what came."""


class EffectModel(Model[C]):
    """What contacts change, held against those who were left out of them."""

    horizon_days: int

    @abstractmethod
    def measure(
        self, shop: Shop, since: datetime, known_until: datetime
    ) -> "Mapping[str, tuple[Trial, Mapping[str, Doubles]]]":
        """Return, for each action, the contacts sent after ``since`` and what each policy scored them."""


class DecisionModel(Model[C]):
    """What to do with everybody, in money."""

    @abstractmethod
    def evaluate(
        self,
        shop: Shop,
        cutoff: datetime,
        known_until: datetime,
        lists: "ReadyLists",
        codes: Ints | None = None,
    ) -> "tuple[pd.DataFrame, pd.DataFrame]":
        """Compare with other policies on a closed horizon: summary by policy, payoff per customer.

        ``codes`` (ascending) are the customers of the history that ``lists`` are of, if not all.
        """
