# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lists a shop owner would nod at
# **Question.** What should the shop window show each customer: which source finds it, does ranking pay, and
# can every product say why it is there?
#
# The shop is dunnhumby's Complete Journey, a grocer; 300 of its households, so that this runs in seconds. Set
# `N_HOUSEHOLDS = 3000` for all of them. Everything is as of 6 November; the 28 days after it are the test.

# %%
import os
from pathlib import Path

import duckdb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from features import adapters
from features.ingest import ingest
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.cross_sell import CrossSell
from models.lists.picks import Picks
from models.lists.rules import learnt_returns
from models.ranking.cross_sell_rows import over_candidates
from models.ranking.reason_texts import CODES, reason_and_text
from training.measures.list_metrics import hit_matrix, ndcg

N_HOUSEHOLDS = 300
home = Path(os.environ.get("RECOMPRA_HOME", ".recompra")) / "notebook-02"

# %%
source = home / "source"
source.mkdir(parents=True, exist_ok=True)
data = adapters.load("complete_journey").data
households = (
    f"SELECT DISTINCT household_id FROM '{data}/transactions.parquet' ORDER BY ALL LIMIT {N_HOUSEHOLDS}"
)
for table, rows in {"transactions": f"household_id IN ({households})", "products": "true"}.items():
    duckdb.sql(f"COPY (FROM '{data}/{table}.parquet' WHERE {rows}) TO '{source}/{table}.parquet'")
ingest(source, home, adapter="complete_journey", fresh=True)
shop = Shop(home)

# %%
cutoff = parse_cutoff("2017-11-06", shop.timezone)
horizon = shop.settings.horizon_days
until = shift_days(cutoff, horizon, timezone=shop.timezone)
small = CrossSell.Config(
    n_windows=2, n_trees=40, learning_rate=0.15, n_own=150, n_assortment=4000, n_factors=16
)
model = CrossSell.fit(shop, cutoff, config=small)
state = model.state(shop, cutoff)
history, catalogue = state.history, shop.catalogue(cutoff)

# %% [markdown]
# ## What comes back, and what does not
# Nobody told the shop that bananas are bought again and greeting cards are not. Each category's share of
# products that a household bought on another day, drawn to the shop's, decides; `[lists.returns]` in
# `recompra.toml` has the last word.

# %%
returns = learnt_returns(
    history, catalogue.category, min_share=shop.settings.lists.min_return_share, horizon_days=horizon
)
pairs = pd.DataFrame({"customer": history.customer, "product": history.product, "day": history.day})
days = pairs.groupby(["customer", "product"])["day"].nunique().reset_index()
days["category"] = np.array([*catalogue.categories.all_names(), "?"])[catalogue.category[days["product"]]]
days["may_return"] = returns[days["product"]]
shares = days.groupby(["may_return", "category"]).agg(
    again=("day", lambda n: (n > 1).mean()), pairs=("day", "size")
)
shares.sort_values("pairs", ascending=False).groupby("may_return").head(8).sort_index().round(2)

# %% [markdown]
# ## What each source finds
# What a household bought before is always a candidate. New products are proposed by many sources; here is the
# share of the new products bought in the test that each one proposes within its budget, and what all the
# others together lose without it.

# %%
labels = shop.product_labels(cutoff, horizon, known_until=until)
owner = history.customers.codes(labels["customer_id"].tolist()).astype(np.int64)
item = history.products.codes(labels["product_id"].tolist()).astype(np.int64)
known = (owner >= 0) & (item >= 0)
size = len(history.products)
truth = np.unique((owner * size + item)[known])
new_truth = np.setdiff1d(truth, np.unique(history.pair))
everyone = np.arange(len(history.customers), dtype=np.int32)


# %%
def found_by(budgets: dict[str, int]) -> float:
    def keys(codes, found):
        return codes[found.customer].astype(np.int64) * size + found.product

    parts = over_candidates(state, everyone, config=small.model_copy(update={"budgets": budgets}), work=keys)
    return float(np.isin(new_truth, np.concatenate(list(parts))).mean())


names, together = list(small.budgets), found_by(small.budgets)
alone = {name: found_by({name: small.budgets[name]}) for name in names}
without = {name: together - found_by(small.budgets | {name: 0}) for name in names}
sources = pd.DataFrame({"finds": alone, "lost without it": without}).sort_values("finds")

# %%
figure, axis = plt.subplots(figsize=(7, 3.5))
sources.plot.barh(ax=axis)
axis.axvline(together, color="lightgrey")
axis.set_title(f"Share of new products bought that a source proposes (all together: {together:.0%})")
figure.tight_layout()

# %% [markdown]
# ## Where ranking wins, and where it does not
# NDCG@10 of our lists and of what they must beat, by how much a household buys. All: what is bought again
# counts, and counting own purchases is hard to beat. New: only what the household had never bought.

# %%
ready, plain = model.ready(state, 20), model.baselines(shop, cutoff, cutoff=cutoff, k=20)
lines = pd.qcut(np.diff(history.indptr), 3, labels=["light", "medium", "heavy"])
ours = {"ours": model.recommend(state, k=20), **{name: plain[name] for name in sorted(plain)}}


# %%
def scores(lists: pd.DataFrame, name: str, pairs: np.ndarray) -> np.ndarray:
    one = lists[(lists["list"] == name) & (lists["rank"] <= 10)]
    shown = np.full((len(everyone), 10), -1)
    at = history.customers.codes(one["customer_id"].tolist()), one["rank"].to_numpy() - 1
    shown[at] = history.products.codes(one["product_id"].tolist())
    hits = hit_matrix(shown, pairs // size, product=pairs % size)
    return ndcg(hits, np.bincount(pairs // size, minlength=len(shown)), k=10)


board = {
    (label, method): pd.Series(scores(lists, name, pairs)).groupby(lines, observed=True).mean()
    for label, name, pairs in (("all", "for_you", truth), ("new", "new_for_you", new_truth))
    for method, lists in ours.items()
}
table = pd.DataFrame(board).T.assign(mean=lambda rows: rows.mean(axis=1))
table.sort_values("mean", ascending=False).sort_index(level=0, sort_remaining=False).round(3)

# %% [markdown]
# ## Ten households
# Their first four products, old and new, with the reason each one gives. A reason is what moved the chance:
# for what was bought before its clock, for the rest the evidence without which the chance falls most.


# %%
def words(product: int) -> tuple[str, str | None]:
    kind = int(catalogue.category[product])
    category = catalogue.categories.names([kind])[0] if kind >= 0 else None
    return (catalogue.names([product])[0].title() if product >= 0 else ""), category


def said(picks: Picks, customer: int, rank: int, locale: str = "en") -> str:
    product, _, _, code, number, other = (column[customer, rank] for column in picks)
    (name, category), about = words(product), words(other)[0]
    why = reason_and_text(CODES[code], locale, number=number, name=name, about=about, category=category)
    return f"{name}: {why[1]}"


# %%
ten = np.random.default_rng(3).choice(everyone, 10, replace=False).tolist()
for customer in ten:
    print(f"household {history.customers.names([customer])[0]}, {np.diff(history.indptr)[customer]} lines")
    for name, rank in ((name, rank) for name in ("for_you", "new_for_you") for rank in range(4)):
        print(f"   {name if not rank else '':12} {said(ready[name], customer, rank)}")

# %%
print("em português:", said(ready["for_you"], ten[0], 0, "pt-BR"), sep="\n  ")

# %% [markdown]
# ## What the reasons are made of
# Of what is shown first, by list.

# %%
shown = {
    name: ready[name].reason[:, :10][ready[name].product[:, :10] >= 0] for name in ("for_you", "new_for_you")
}
mix = {
    name: pd.Series([CODES[code] for code in codes]).value_counts(normalize=True)
    for name, codes in shown.items()
}
pd.DataFrame(mix).fillna(0).sort_values("for_you", ascending=False).round(2)

# %%
best = table["mean"].groupby(level=0, group_keys=False).nlargest(3)
print(best.round(3).to_string())
print(
    f"of new products bought, candidates hold {together:.0%}, the best source alone {max(alone.values()):.0%}"
)

# %% [markdown]
# **Answer.** Show what comes back, ordered by its clock: among all products the ranker is ahead of counting
# own purchases, whether households buy little or much. New products are another matter. No source finds many
# of them and each finds what others miss; ranked together they beat showing everybody what sells, least
# in the middle third, and their small chances say how hard it is. What is not bought twice does not come
# back, learnt from the orders alone, and every product can say why it is there.
