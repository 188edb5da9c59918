"""How long an experiment must run: the share to hold out, its weeks, and the effect it can detect."""

from math import ceil, sqrt

from pydantic import BaseModel, ConfigDict, Field

from features.errors import SettingsError
from models.texts import DEFAULT, Table, say

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares held out that may be proposed: the smallest that is quick enough costs least."""
QUICK_WEEKS = 8
"""A proposal that ends within this many weeks need not hold out more."""
LONGEST_WEEKS = 52
"""Maximum duration; if it is not enough, or customers run out, the proposal says what can be detected."""
Z = 1.959964 + 0.841621
"""Normal quantiles of a two-sided 5% test with 80% power."""

TEXTS: Table = {
    "en": {
        "plan": "hold out {share:.0%} of the customers, at random, for {n} weeks",
        "plan.one": "hold out {share:.0%} of the customers, at random, for 1 week",
        "found": "{plan} ({treated:,} contacted and {held_out:,} held out): a change of {change:.2f} "
        "percentage points in a chance of {rate:.1%} would be found in 4 of 5 cases",
        "too_small": "{plan} ({treated:,} contacted and {held_out:,} held out): a change of {change:.2f} "
        "percentage points in a chance of {rate:.1%} could be found; the change of {asked:.2f} percentage "
        "points asked for is too small to find in this shop",
    },
    "pt": {
        "plan": "deixe {share:.0%} dos clientes sem contato, por sorteio, durante {n} semanas",
        "plan.one": "deixe {share:.0%} dos clientes sem contato, por sorteio, durante 1 semana",
        "found": "{plan} ({treated:,} com contato e {held_out:,} no grupo de controle): uma mudança de "
        "{change:.2f} pontos percentuais em uma chance de {rate:.1%} seria detectada em 4 de cada 5 casos",
        "too_small": "{plan} ({treated:,} com contato e {held_out:,} no grupo de controle): daria para "
        "detectar uma mudança de {change:.2f} pontos percentuais em uma chance de {rate:.1%}; a mudança "
        "procurada, de {asked:.2f} pontos percentuais, é pequena demais para esta loja",
    },
}


class Proposal(BaseModel):
    """An experiment that would detect the effect in 4 of 5 cases (two-sided test at 5%)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    held_out: float = Field(gt=0, le=0.5)
    """Share of customers, drawn at random, who are not contacted (0 to 0.5)."""
    n_weeks: int = Field(ge=1)
    """Weeks of contacts, until which the horizon of the last ones has not yet closed."""
    n_treated: int = Field(ge=0)
    """Customers contacted by then."""
    n_held_out: int = Field(ge=0)
    """Customers held out by then."""
    base_rate: float = Field(ge=0, le=1)
    """Chance of the outcome without a contact (0 to 1)."""
    effect: float = Field(gt=0)
    """The requested change of that chance (0.01: one customer in a hundred more)."""
    detectable_effect: float = Field(gt=0)
    """Smallest change that these weeks detect in 4 of 5 cases."""

    @property
    def enough(self) -> bool:
        """Whether the requested effect can be detected, within a year and with the customers there are."""
        return self.detectable_effect <= self.effect * (1 + 1e-9)

    def __str__(self) -> str:
        return self.in_words()

    def in_words(self, locale: str = DEFAULT) -> str:
        """Return the proposal as a sentence, in a language."""
        plan = say(TEXTS, "plan", locale=locale, n=self.n_weeks, share=self.held_out)
        return say(
            TEXTS,
            "found" if self.enough else "too_small",
            locale=locale,
            plan=plan,
            treated=self.n_treated,
            held_out=self.n_held_out,
            change=100 * self.detectable_effect,
            rate=self.base_rate,
            asked=100 * self.effect,
        )


def propose(
    n_customers_a_week: float, base_rate: float, *, effect: float, n_customers: int | None = None
) -> Proposal:
    """Propose the cheapest experiment that would detect ``effect``.

    Assumes that each customer is drawn once, stays contacted or held out throughout, and counts once;
    contacting the same customer every week adds no evidence. ``base_rate`` is the chance of the outcome
    without a contact, ``effect`` the absolute change of it, ``n_customers`` the total number of customers.
    Raises ``SettingsError`` for impossible figures.

    Source: the normal approximation for two proportions (Fleiss, 1981, eq. 3.14 without the correction).
    """
    _check(n_customers_a_week, base_rate, effect)
    longest = {
        share: _weeks_needed(n_customers_a_week, base_rate, effect=effect, share=share) for share in SHARES
    }
    n_all = float("inf") if n_customers is None else max(n_customers, n_customers_a_week)
    most = min(LONGEST_WEEKS, n_all // n_customers_a_week)
    quick = [share for share, weeks in longest.items() if weeks <= min(QUICK_WEEKS, most)]
    soonest = min(longest, key=longest.__getitem__)
    share = quick[0] if quick else soonest if longest[soonest] <= most else SHARES[-1]
    weeks = int(min(longest[share], most))
    n = n_customers_a_week * weeks
    return Proposal(
        held_out=share,
        n_weeks=weeks,
        n_treated=round(n * (1 - share)),
        n_held_out=round(n * share),
        base_rate=base_rate,
        effect=effect,
        detectable_effect=detectable_effect(n, base_rate, held_out=share),
    )


def detectable_effect(n_customers: float, base_rate: float, *, held_out: float) -> float:
    """Return the smallest rise of ``base_rate`` that ``n_customers`` detect in 4 of 5 cases.

    Both groups are assumed to have the variance of the base rate, so it is slightly too small if the rise is
    large.
    """
    spread = max(base_rate * (1 - base_rate), 1e-6)
    return Z * sqrt(spread / (n_customers * held_out) + spread / (n_customers * (1 - held_out)))


def _weeks_needed(n_a_week: float, base_rate: float, *, effect: float, share: float) -> int:
    weeks = (detectable_effect(n_a_week, base_rate, held_out=share) / effect) ** 2
    return max(1, ceil(weeks - 1e-9))


def _check(n_customers_a_week: float, base_rate: float, effect: float) -> None:
    if not n_customers_a_week > 0:
        raise SettingsError(
            f"an experiment needs more than 0 customers a week, found {n_customers_a_week}",
            "give the number who can be contacted or held out in a week",
        )
    if not 0 <= base_rate <= 1:
        raise SettingsError(
            f"base_rate is a chance between 0 and 1, found {base_rate}",
            "give the share of customers who order without a contact",
        )
    if not 0 < effect <= 1:
        raise SettingsError(
            f"effect is a change of a chance, above 0 and at most 1, found {effect}",
            "give the smallest change worth finding, as 0.02",
        )
