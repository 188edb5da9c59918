"""The kinds of models: what a model of each kind predicts, and so how it is compared with outcomes.

Each model inherits from one of these. ``training.evaluate`` and ``serving`` dispatch on the kind, and the
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
"""The state that a model's lists are built from, as of a cutoff."""


class ListModel(Model[C], Generic[C, S]):
    """Lists of products for everybody, compared with what they bought."""

    horizon_days: int

    @abstractmethod
    def state(self, shop: Shop, cutoff: datetime) -> S:
        """Return the state that lists are built from, as of ``cutoff``."""

    @abstractmethod
    def recommend(
        self, state: S, customers: Sequence[str] | None = None, *, k: int, lists: Sequence[str]
    ) -> "pd.DataFrame":
        """Return lists of every customer of the state, or of ``customers``; the unknown get a fallback."""

    def baselines(
        self,
        shop: Shop,
        known_until: datetime,
        *,
        cutoff: datetime,
        k: int,
        customers: Sequence[str] | None = None,
    ) -> "Mapping[str, pd.DataFrame]":
        """Return the baselines to beat, as frames like ``recommend``'s: of everyone, or of ``customers``."""
        return {}

    def figures(self, state: S, customers: Sequence[str], *, products: Sequence[str]) -> Mapping[str, float]:
        """Return further figures of the model, given actual first purchases as pairs of ids."""
        return {}


class ScoreModel(Model[C]):
    """Scores and labels of everybody seen before the cutoff, compared with what they did."""

    truths: ClassVar[dict[str, str]]
    """Column without horizon -> the truth it predicts, as named in training's ``Holdout.truths``, e.g.
    ``lapsed``."""

    @abstractmethod
    def predict_from(self, features: "pd.DataFrame", cutoff: datetime) -> "pd.DataFrame":
        """Return the scores from customer features as of ``cutoff``: each row by itself, any column order."""

    def predict(self, shop: Shop, cutoff: datetime, *, ids: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the scores of everyone seen before ``cutoff``, or of those in ``ids``.

        A customer never seen has no row; one who returned everything does.
        """
        from models.customers.customer_panel import everyone

        return self.predict_from(everyone(shop, cutoff, ids=ids), cutoff)

    def explain(self, shop: Shop, cutoff: datetime) -> "pd.DataFrame | None":
        """Return reasons as codes, one row per customer; None if a model gives none."""
        return None

    def places(self, shop: Shop, cutoff: datetime, *, truth: "pd.Series[Any]") -> "pd.DataFrame | None":
        """Return where truths lie in their predicted distributions: shares ``below`` and ``at_or_below``.

        None if the model predicts no distributions.
        """
        return None

    def baselines(
        self, shop: Shop, known_until: datetime, *, cutoff: datetime, ids: Sequence[str]
    ) -> "pd.DataFrame":
        """Return one column per baseline, of the first truth; ``column:baseline`` is one of another truth."""
        import pandas as pd

        return pd.DataFrame(index=list(ids))


class PairModel(Model[C]):
    """Predictions for pairs of customer and product, or for products, compared with outcomes."""

    @abstractmethod
    def measure(self, shop: Shop, cutoff: datetime, *, end: datetime) -> Iterable[Measured]:
        """Yield our predictions and the baselines' for ``[cutoff, end)``, with the outcomes."""


class EffectModel(Model[C]):
    """Effects of contacts, compared with customers held out from them."""

    horizon_days: int

    @abstractmethod
    def measure(
        self, shop: Shop, since: datetime, *, known_until: datetime
    ) -> "Mapping[str, tuple[Trial, Mapping[str, Doubles]]]":
        """Return, for each action, the contacts sent after ``since`` and the score each policy gave them."""

    @abstractmethod
    def learnt(self) -> "Mapping[str, Sequence[float]]":
        """Return what learning found by itself, with 95% intervals, such as ``"learnt_effect win_back"``."""


class DecisionModel(Model[C]):
    """Decisions for everybody, in money."""

    @abstractmethod
    def evaluate(
        self,
        shop: Shop,
        cutoff: datetime,
        *,
        known_until: datetime,
        lists: "ReadyLists",
        codes: Ints | None = None,
    ) -> "tuple[pd.DataFrame, pd.DataFrame]":
        """Compare with other policies on a closed horizon: summary by policy, payoff per customer.

        ``codes`` (ascending) are the customers of the history that ``lists`` are for, if not all.
        """
