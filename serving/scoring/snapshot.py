"""One scoring, from which a worker answers; its arrays are mapped by ``serving.scoring.folder``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Doubles, Floats, Ints
from features.arrays.history import History, Vocabulary
from features.settings import ContactPolicy, Economics
from models.chance.horizon import with_texts
from models.decisions.case import Terms
from models.decisions.economics import Money
from models.decisions.known import Known
from models.lists.cold import AttributeSegments
from models.lists.picks import Picks
from models.policy.subjects import Goods, People
from models.trials.power import Proposal
from serving.persons.marks import Marks
from serving.scoring import experiment
from serving.scoring.columns import Columns
from serving.scoring.registered import Registered

if TYPE_CHECKING:
    from models.ranking.live import Live


@dataclass(frozen=True)
class Snapshot:
    """A scoring. Rows of ``ready``, ``features``, ``scores`` and ``people`` are codes of ``customers``."""

    stamp: str
    as_of: datetime
    models: dict[str, str]
    horizon_days: int
    currency: str
    economics: Economics
    cutoff_day: int
    timezone: str
    sources: tuple[str, ...]
    customers: Vocabulary
    catalogue: Catalogue
    ready: Mapping[str, Picks]
    """A list for every customer, by the list's name."""
    popular: Ints
    """Product codes, best sellers first."""
    popular_score: Floats
    features: Columns
    scores: Columns
    people: People
    goods_and_terms: tuple[Goods, Terms] | None
    locale: str
    """Language of reasons, if a request names none."""
    retention: Columns | None
    """All customers, ordered by what a contact earns per cost (see ``decisions.retention``)."""
    history: History | None = None
    """Purchases before ``as_of``, coded by ``customers`` and the catalogue's products."""
    live: "Live | None" = None
    """The ranker for one customer and recent events."""
    known: Known | None = None
    """Where customers stand and what products are, for decisions."""
    segments: AttributeSegments | None = None
    """Best sellers by segment, for customers without orders."""
    registered: Registered | None = None
    """Who was known, but had not ordered."""
    marks: Marks | None = None
    """The marks by which erased customers are found, without hashing everyone."""
    notes: tuple[dict[str, Any], ...] = ()
    """Caveats on the scores, as data (``models.chance.horizon``)."""
    average_of_keeping: tuple[float, float, float] | None = None
    """The learnt average effect of a retention contact, with its 95% interval; None if it is assumed."""

    def customer(self, customer_id: str) -> int:
        """Return a customer's row, -1 if not seen before ``as_of``."""
        return self.customers.code(customer_id)

    def product(self, product_id: str) -> int:
        """Return a product's code, -1 if unknown."""
        return self.catalogue.products.code(product_id)

    @cached_property
    def moment(self) -> str:
        """``as_of`` in the format of responses."""
        return self.as_of.isoformat()

    def notes_in(self, locale: str | None, *, leave_out: str = "") -> list[dict[str, Any]]:
        """Return the caveats, but one by its code, in a language, by default the shop's, as in responses."""
        notes = (note for note in self.notes if note["code"] != leave_out)
        return with_texts(notes, locale or self.locale)

    @cached_property
    def offers_products(self) -> bool:
        """Whether there are actions with a product to choose from."""
        terms = None if self.goods_and_terms is None else self.goods_and_terms[1]
        return terms is not None and any(action.offers_product for action in terms.actions)

    @property
    def policy(self) -> ContactPolicy:
        """The shop's contact policy; the default one where nothing can be decided."""
        return ContactPolicy() if self.goods_and_terms is None else self.goods_and_terms[1].policy

    @cached_property
    def margins_in_order(self) -> Doubles:
        """All customers' expected margins, the lowest first; nothing where they are not known."""
        name = f"expected_margin_{self.horizon_days}d"
        known = self.scores.kinds.get(name) == "number"
        return np.sort(np.nan_to_num(self.scores.number(name))) if known else np.zeros(0)

    @property
    def gain_name(self) -> str:
        """The column of the retention ranking with the expected gain of a contact."""
        return f"expected_incremental_margin_{self.horizon_days}d"

    @property
    def learnt(self) -> Mapping[str, Money]:
        """The effects learnt from experiments: by action, for each customer."""
        return {} if self.known is None else self.known.learnt

    def effect_of(self, actions: Iterable[str]) -> str:
        """Return ``learnt`` if the effects of all ``actions`` come from experiments, else ``assumed``."""
        taken = set(actions)
        return "learnt" if taken and taken <= self.learnt.keys() else "assumed"

    def experiment_for(self, effect: str, locale: str | None = None) -> str | None:
        """Return the experiment that would measure an ``assumed`` effect; None for a learnt one."""
        if effect != "assumed" or self._experiment is None:
            return None
        share = self.policy.held_out_share
        return experiment.in_words(self._experiment, held_out_share=share, locale=locale or self.locale)

    @cached_property
    def _experiment(self) -> Proposal | None:
        name = f"churn_probability_{self.horizon_days}d"
        if self.scores.kinds.get(name) != "number":
            return None
        return experiment.proposed(self.scores.number(name), save_rate=self.economics.save_rate)
