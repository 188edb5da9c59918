"""Why a customer is expected to leave or stay: what moved the score, in sentences one can act on.

Contributions are the model's own: TreeSHAP of the trees (Lundberg et al., 2020, as LightGBM computes it) and
the terms of the regression, averaged as their logits are. Related columns are summed into one topic, so that
a reason is not split into parts too small to name.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.dtypes import Doubles
from models.texts import DEFAULT, say

if TYPE_CHECKING:
    import pandas as pd


N_REASONS = 3
"""Maximum number of reasons per customer."""
WORTH_TELLING = 0.10
"""Topics that move the logit by less are left out."""
COLUMNS = tuple(f"churn_reason_{place}" for place in range(1, N_REASONS + 1))
"""Columns of ``codes``, the strongest first."""

TOPICS: dict[str, tuple[str, ...]] = {
    "silence": (
        "days_since_last_order",
        "overdue_ratio",
        "bgnbd_orders",
        "bgnbd_purchase_probability",
        "regular_purchase_probability",
    ),
    "lately": (
        "n_order_days_7d",
        "n_order_days_28d",
        "n_order_days_56d",
        "n_order_days_91d",
        "order_days_decayed_28d",
        "order_days_decayed_91d",
        "revenue_28d",
        "revenue_91d",
    ),
    "habit": (
        "frequency",
        "n_orders",
        "n_order_days",
        "order_day_rate",
        "n_order_days_182d",
        "n_order_days_364d",
        "recency_days",
    ),
    "rhythm": ("gap_mean_days", "gap_median_days", "gap_std_days", "gap_max_days", "last_gap_days"),
    "age": ("days_since_first_order",),
    "spend": (
        "revenue",
        "revenue_182d",
        "revenue_364d",
        "monetary_value",
        "revenue_per_order_day",
        "revenue_order_day_std",
        "revenue_order_day_max",
        "last_order_revenue",
    ),
    "discount": ("discount_share",),
    "basket": ("n_units_per_order", "n_lines_per_order", "revenue_per_unit"),
    "range": ("n_products", "n_categories", "new_product_share"),
    "goods": ("product_back_share", "product_recent_share"),
    "returns": ("n_units_returned",),
    "contacts": ("n_contacts", "n_contacts_28d", "days_since_last_contact"),
    "satisfaction": ("last_nps_score",),
}
"""Topic -> its columns. Columns in none of them (weekday, hour) cannot be acted on."""

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "silence": "no order for {days_since_last_order:.0f} days, usually every {gap_mean_days:.0f}",
        "silence.one": "no order for 1 day, usually every {gap_mean_days:.0f}",
        "silence.none": "ordered today",
        "silence.once": "no order for {days_since_last_order:.0f} days since the first",
        "silence.once.one": "no order for 1 day since the first",
        "silence.once.none": "first order today",
        "pace": "usually an order every {gap_mean_days:.0f} days",
        "pace.one": "usually an order every day",
        "lately": "{n_order_days_91d:.0f} days with an order in the last 91",
        "lately.one": "1 day with an order in the last 91",
        "lately.none": "no order in the last 91 days",
        "habit": "{n_order_days:.0f} days with an order so far",
        "habit.one": "1 day with an order so far",
        "rhythm": "an order every {gap_mean_days:.0f} days, the longest wait was {gap_max_days:.0f}",
        "rhythm.one": "an order every day, the longest wait was {gap_max_days:.0f}",
        "rhythm.once": "bought on one day only",
        "age": "a customer for {days_since_first_order:.0f} days",
        "age.one": "a customer for 1 day",
        "age.none": "a customer since today",
        "spend": "spends {revenue_per_order_day:.2f} on a day with an order",
        "discount": "{discount_share:.0%} of the shelf price given away as discount",
        "basket": "{n_units_per_order:.1f} units an order",
        "range": "has bought {n_products:.0f} different products",
        "range.one": "has bought one product only",
        "range.none": "has bought no product we know",
        "goods": "buyers of the same products came back for them in {product_back_share:.0%} of cases",
        "returns": "{n_units_returned:.0f} units brought back",
        "returns.one": "1 unit brought back",
        "returns.none": "brought nothing back",
        "contacts": "contacted {n_contacts_28d:.0f} times in the last 28 days",
        "contacts.one": "contacted once in the last 28 days",
        "contacts.none": "not contacted in the last 28 days",
        "satisfaction": "gave {last_nps_score:.0f} of 10 in the last survey",
    },
    "pt": {
        "silence": "sem comprar há {days_since_last_order:.0f} dias; o usual é a cada {gap_mean_days:.0f}",
        "silence.one": "sem comprar há 1 dia; o usual é a cada {gap_mean_days:.0f}",
        "silence.none": "comprou hoje",
        "silence.once": "sem comprar há {days_since_last_order:.0f} dias desde a primeira compra",
        "silence.once.one": "sem comprar há 1 dia desde a primeira compra",
        "silence.once.none": "primeira compra hoje",
        "pace": "o usual é comprar a cada {gap_mean_days:.0f} dias",
        "pace.one": "o usual é comprar todo dia",
        "lately": "{n_order_days_91d:.0f} dias com compra nos últimos 91",
        "lately.one": "1 dia com compra nos últimos 91",
        "lately.none": "nenhuma compra nos últimos 91 dias",
        "habit": "{n_order_days:.0f} dias com compra até agora",
        "habit.one": "1 dia com compra até agora",
        "rhythm": "compra a cada {gap_mean_days:.0f} dias, a maior espera foi de {gap_max_days:.0f}",
        "rhythm.one": "compra todo dia, a maior espera foi de {gap_max_days:.0f}",
        "rhythm.once": "comprou em um único dia",
        "age": "cliente há {days_since_first_order:.0f} dias",
        "age.one": "cliente há 1 dia",
        "age.none": "cliente desde hoje",
        "spend": "gasta {revenue_per_order_day:.2f} por dia de compra",
        "discount": "{discount_share:.0%} do preço de tabela em descontos",
        "basket": "{n_units_per_order:.1f} unidades por pedido",
        "range": "comprou {n_products:.0f} produtos diferentes",
        "range.one": "comprou um único produto",
        "range.none": "não comprou nenhum produto conhecido",
        "goods": "quem compra os mesmos produtos volta a comprá-los em {product_back_share:.0%} dos casos",
        "returns": "{n_units_returned:.0f} unidades devolvidas",
        "returns.one": "1 unidade devolvida",
        "returns.none": "nada devolvido",
        "contacts": "contatado {n_contacts_28d:.0f} vezes nos últimos 28 dias",
        "contacts.one": "contatado uma vez nos últimos 28 dias",
        "contacts.none": "não contatado nos últimos 28 dias",
        "satisfaction": "deu nota {last_nps_score:.0f} de 10 na última pesquisa",
    },
}
COUNTED = {
    "silence": "days_since_last_order",
    "pace": "gap_mean_days",
    "lately": "n_order_days_91d",
    "habit": "n_order_days",
    "rhythm": "gap_mean_days",
    "age": "days_since_first_order",
    "range": "n_products",
    "returns": "n_units_returned",
    "contacts": "n_contacts_28d",
}
"""Topic -> the figure that selects the form of its sentence: zero, singular or plural."""
RAISES, LOWERS = "raises", "lowers"
SILENCE, PACE = "silence", "pace"
ONCE = ("silence", "rhythm")
"""Topics about a gap between purchases, which a one-time buyer does not have."""


def codes(contributions: "pd.DataFrame") -> "pd.DataFrame":
    """Return ``COLUMNS`` of codes such as ``silence:raises``, strongest first; null where there are no more.

    ``contributions``: what each column adds to the logit of *leaving*, one row per customer.
    """
    import pandas as pd

    topics = [name for name, columns in TOPICS.items() if set(columns) & set(contributions.columns)]
    summed = np.stack([_sum(contributions, TOPICS[name]) for name in topics], axis=1)
    order = np.asarray(np.argsort(-np.abs(summed), axis=1, kind="stable"))[:, :N_REASONS]
    strength = np.take_along_axis(summed, order, axis=1)
    names = np.array([[f"{name}:{LOWERS}", f"{name}:{RAISES}"] for name in topics], dtype=object)
    named: Any = np.where(np.abs(strength) >= WORTH_TELLING, names[order, (strength > 0).astype(int)], None)
    columns = list(COLUMNS[: named.shape[1]])
    return pd.DataFrame(named, index=contributions.index, columns=columns, dtype="str")


def _sum(contributions: "pd.DataFrame", columns: tuple[str, ...]) -> Doubles:
    there = [name for name in columns if name in contributions.columns]
    return np.asarray(contributions[there].to_numpy(float).sum(axis=1))


def sentence(code: str, features: Mapping[str, Any], *, locale: str = DEFAULT) -> str:
    """Return the sentence of a code for one customer; the topic alone if a figure is unknown."""
    known = {name: value for name, value in features.items() if isinstance(value, int | float)}
    told = _told(code, known)
    counted = known.get(COUNTED.get(told.partition(".")[0], ""), math.nan)
    n = None if math.isnan(counted) else round(counted)
    try:
        return say(TEXTS, told, locale=locale, n=n, **known)
    except KeyError:
        return code.partition(":")[0]


def _told(code: str, known: Mapping[str, float]) -> str:
    """Return the sentence's key; a silence whose length speaks against its effect is told by the usual gap.

    Who orders seldom may well let a horizon pass, however recent the last order; who orders every few days
    hardly will, a day late or not.
    """
    topic, _, effect = code.partition(":")
    if topic in ONCE and not (known.get("frequency") or 0) > 0:
        return f"{topic}.once"
    since, gap = known.get("days_since_last_order", math.nan), known.get("gap_mean_days", math.nan)
    if topic == SILENCE and (effect == LOWERS if since > gap else effect == RAISES):
        return PACE
    return topic


def sentences(
    row: Mapping[str, Any], features: Mapping[str, Any], *, locale: str = DEFAULT
) -> list[dict[str, str]]:
    """Return ``{code, effect, text}`` of each reason in a row of ``COLUMNS``; ``effect`` is on the risk."""
    stored = [str(row[name]) for name in COLUMNS if isinstance(row.get(name), str)]
    split = [(code, *code.partition(":")[::2]) for code in stored]
    return [
        {"code": topic, "effect": effect, "text": sentence(code, features, locale=locale)}
        for code, topic, effect in split
    ]
