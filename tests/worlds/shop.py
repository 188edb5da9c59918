"""A shop whose truth is known: how each customer buys, leaves, and reacts to a contact; one week a step.

Four kinds of customers, told apart only by traces in their orders: *persuadables* buy more for some weeks
after a contact and leave less; *sure things* buy anyway; *sleeping dogs* are driven away by a contact; who
has left (*lost causes*) reacts to nothing. Contacts tire: each one of the last weeks makes the next weaker.
All chance is drawn ahead, by customer and week, so two policies meet the very same luck.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.ingest import ingest
from features.shop import Shop

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
START = pd.Timestamp("2023-01-02")


@dataclass(frozen=True)
class Truth:
    """What is so in this shop; money is in euros, rates are per week."""

    n_customers: int = 3000
    weekly_rate: float = 0.12
    """Mean orders a week of a living customer."""
    weekly_leaving: float = 0.012
    query: float = 0.15
    """Orders a week that a fresh contact adds to a persuadable's, for ``lasting`` weeks."""
    lasting: int = 4
    saves: float = 0.6
    """... and takes this share off their rate of leaving."""
    driven_away: float = 0.10
    """Chance that a contact makes a sleeping dog leave at once."""
    fatigue: float = 0.35
    """Share of a contact's effect that each other one of the last 8 weeks takes away."""
    margin_rate: float = 0.3
    contact_cost: float = 0.5


@dataclass
class World:
    """The shop at one moment; ``week`` moves it on. Copy it (``branch``) to try another policy."""

    truth: Truth
    seed: int
    n_weeks: int
    now: int = 0
    orders: list[pd.DataFrame] = field(default_factory=list)
    sent: list[pd.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng, n = np.random.default_rng(self.seed), self.truth.n_customers
        self.bargain = rng.beta(0.7, 0.7, n)
        """The trace: share of discounts among the customer's purchases."""
        self.rate = rng.gamma(1.5, self.truth.weekly_rate / 1.5, n) * np.exp(0.5 - self.bargain)
        """Orders a week: bargain hunters buy less often than those who pay the full price."""
        self.size = np.exp(rng.normal(3.4, 0.5, n))
        self.luck = rng.random((self.n_weeks, 3, n))
        self.alive = np.ones(n, bool)
        self.contacts = np.zeros((self.n_weeks, n), bool)
        self.joins = rng.integers(0, 12, n)

    @property
    def persuadable(self) -> Mask:
        """Bargain hunters."""
        return self.bargain > 0.6

    @property
    def sleeping_dog(self) -> Mask:
        """Those who never buy at a discount."""
        return self.bargain < 0.25

    def ids(self) -> npt.NDArray[np.object_]:
        """Return every customer's id, in the order of all arrays."""
        return np.array([f"c{k:05d}" for k in range(self.truth.n_customers)], dtype=object)

    @property
    def today(self) -> pd.Timestamp:
        """The Monday that the next week begins with."""
        return START + pd.Timedelta(weeks=self.now)

    def branch(self) -> "World":
        """Return a copy that goes its own way from here."""
        other = World(self.truth, self.seed, self.n_weeks, self.now, [*self.orders], [*self.sent])
        other.alive, other.contacts = self.alive.copy(), self.contacts.copy()
        return other

    def contact(self, treated: Mask, held_out: Mask | None = None, propensity: Floats | float = 1.0) -> None:
        """Contact the ``treated`` today; record them, and the ``held_out`` with their propensity."""
        self.contacts[self.now] = treated
        gone = treated & self.alive & self.sleeping_dog & (self.luck[self.now, 0] < self.truth.driven_away)
        self.alive &= ~gone
        rows = treated if held_out is None else treated | held_out
        share = np.broadcast_to(np.asarray(propensity, float), rows.shape)
        self.sent.append(
            pd.DataFrame(
                {
                    "customer_id": self.ids()[rows],
                    "sent_at": self.today,
                    "treated": treated[rows],
                    "propensity": share[rows],
                    "channel": "email",
                    "action": "win_back",
                    "cost": self.truth.contact_cost,
                }
            )
        )

    def freshness(self) -> Floats:
        """Return how strongly a persuadable feels the last contact now: 0 to 1."""
        first = max(self.now - 7, 0)
        recent = self.contacts[first : self.now + 1].sum(axis=0)
        felt = self.contacts[max(self.now - self.truth.lasting + 1, 0) : self.now + 1].any(axis=0)
        return felt * (1 - self.truth.fatigue) ** np.maximum(recent - 1, 0)

    def week(self) -> float:
        """Let a week pass; return the margin of its orders."""
        truth, luck = self.truth, self.luck[self.now]
        moved = self.persuadable * self.freshness()
        active = self.alive & (self.joins <= self.now)
        first = active & (self.joins == self.now)
        bought = first | (active & (luck[1] < 1 - np.exp(-(self.rate + truth.query * moved))))
        revenue = self._sell(np.flatnonzero(bought))
        leaves = active & (luck[2] < truth.weekly_leaving * (1 - truth.saves * moved))
        self.alive &= ~leaves
        self.now += 1
        return truth.margin_rate * revenue

    def _sell(self, who: npt.NDArray[np.int64]) -> float:
        rng = np.random.default_rng((self.seed, self.now))
        day, amount = (
            rng.integers(0, 7, self.truth.n_customers),
            rng.lognormal(0, 0.3, self.truth.n_customers),
        )
        price = (self.size * amount)[who].round(2)
        cheaper = rng.random(self.truth.n_customers)[who] < self.bargain[who]
        discount = np.where(cheaper, 0.2 * price, 0.0).round(2)
        self.orders.append(
            pd.DataFrame(
                {
                    "customer_id": self.ids()[who],
                    "ordered_at": self.today + pd.to_timedelta(day[who] * 24 + 12, unit="h"),
                    "quantity": 1.0,
                    "unit_price": price,
                    "discount": discount,
                }
            )
        )
        return float((price - discount).sum())

    def write(self, folder: Path) -> None:
        """Write the shop's tables and settings, as of now."""
        folder.mkdir(parents=True, exist_ok=True)
        settings = 'currency = "EUR"\nhorizon_days = 28\n[economics]\n'
        settings += f"margin_rate = {self.truth.margin_rate}\ncontact_cost = {self.truth.contact_cost}\n"
        (folder / "recompra.toml").write_text(settings, encoding="utf-8")
        pd.concat(self.orders).to_parquet(folder / "order_lines.parquet")
        if self.sent:
            pd.concat(self.sent).to_parquet(folder / "contacts.parquet")

    def shop(self, folder: Path) -> Shop:
        """Ingest everything up to now, for real, and open it."""
        self.write(folder / "source")
        ingest(str(folder / "source"), folder / "home", fresh=True)
        return Shop(folder / "home")
