"""The ranker's chances of pairs: the same steps for everybody at night and for one request."""

from dataclasses import dataclass

from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.history import History
from models.candidates.state import ListState
from models.ranking.ranker import Ranker
from models.ranking.reasons import COLUMN


@dataclass(frozen=True)
class Chances:
    """Features and chances of pairs of some customers, identified by their rows in ``history``."""

    state: ListState
    ranker: Ranker
    history: History
    """Their purchases."""
    codes: Ints
    """Their codes in the state; -1 if unknown there."""
    cart: Ints | None = None
    """The cart of the last of them."""

    def features(self, customer: Ints, product: Ints) -> Floats:
        """Return the pair features of pairs, sorted by customer."""
        return self.state.features(
            self.history, self.codes, customer=customer, product=product, cart=self.cart
        )

    def predict(self, customer: Ints, product: Ints, *, features: Floats) -> Floats:
        """Return the chances of pairs with these features; new products' are raised by ``newcomers``."""
        return self.state.newcomers.lifted(
            self.ranker.chance(features), customer, product=product, ask=self._told
        )

    def _told(self, customer: Ints, product: Ints) -> tuple[Floats, Bools]:
        """Return the chances of any pairs, and which of them the customer bought before."""
        features = self.features(customer, product)
        return self.ranker.chance(features), features[:, COLUMN["n"]] > 0
