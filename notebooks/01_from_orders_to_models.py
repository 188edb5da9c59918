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
# # From orders to models
# **Question.** All we have is who bought what, and when. What does that tell us about one customer: what
# will they buy next, and are they leaving?
#
# The shop is dunnhumby's Complete Journey, a grocer; 300 of its households, so that this runs in seconds.
# Set `N_HOUSEHOLDS = 3000` for all of them.

# %%
import os
from pathlib import Path

import duckdb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from features import adapters
from features.customer import CUSTOMER_FEATURES
from features.ingest import ingest
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.churn import Churn
from models.cross_sell import CrossSell
from models.next_best_offer import NextBestOffer
from training.measures.metrics import auc

N_HOUSEHOLDS = 300
home = Path(os.environ.get("RECOMPRA_HOME", ".recompra")) / "notebook-01"

# %% [markdown]
# ## Orders in
# `recompra ingest` does the same: files become a warehouse, what cannot be used is quarantined with its
# reason.

# %%
source = home / "source"
source.mkdir(parents=True, exist_ok=True)
data = adapters.load("complete_journey").data
households = (
    f"SELECT DISTINCT household_id FROM '{data}/transactions.parquet' ORDER BY ALL LIMIT {N_HOUSEHOLDS}"
)
for table, rows in {"transactions": f"household_id IN ({households})", "products": "true"}.items():
    duckdb.sql(f"COPY (FROM '{data}/{table}.parquet' WHERE {rows}) TO '{source}/{table}.parquet'")
report = ingest(source, home, adapter="complete_journey", fresh=True)
shop = Shop(home)
shop.facts

# %%
shop.con.raw_sql(
    "SELECT customer_id, ordered_at, product_id, quantity, revenue FROM order_lines LIMIT 5"
).df()

# %%
pd.DataFrame(report.tables["order_lines"].model_dump().items(), columns=["order lines", ""])

# %% [markdown]
# ## One customer's year
# Orders are events. What one sees at once: a rhythm, and products that come back.

# %%
cutoff = parse_cutoff("2017-12-04", shop.timezone)
history, catalogue = shop.history(cutoff), shop.catalogue(cutoff)
sizes = np.diff(history.indptr)
customer = int(np.argsort(sizes)[-30])
customer_id, mine = history.customers.names([customer])[0], history.rows(customer)
often, times = np.unique(history.product[mine], return_counts=True)
often = often[np.argsort(-times, kind="stable")[:12]]

# %%
bought_often = pd.DataFrame(
    {"product": history.product[mine], "day": history.day[mine].astype("datetime64[D]")}
)
bought_often = bought_often[bought_often["product"].isin(often)]
place = pd.Series(range(len(often)), index=often)
figure, axis = plt.subplots(figsize=(9, 4))
axis.scatter(bought_often["day"], bought_often["product"].map(place), marker="|")
axis.set_yticks(range(len(often)), catalogue.names(often))
axis.set_title(f"Household {customer_id}: its twelve most bought products")
figure.autofmt_xdate()
figure.tight_layout()

# %% [markdown]
# ## Features: what we know as of a cutoff
# Each is one line in `features/customer.py`; the set writes the `time < cutoff` filter itself. Here are
# those of our customer as of 4 December, and at three earlier moments: one scan makes the panel that models
# learn from.

# %%
moments = {"March": "2017-03-01", "June": "2017-06-01", "September": "2017-09-01", "December": "2017-12-04"}
panel = shop.panel([parse_cutoff(day, shop.timezone) for day in moments.values()])
known = panel.xs(customer_id, level="customer_id").T.set_axis(list(moments), axis=1)
explained = pd.DataFrame(CUSTOMER_FEATURES.catalogue(), columns=["feature", "unit", "doc"])
explained.set_index("feature").join(known).round(2)

# %% [markdown]
# ## Who is leaving?
# The model learns from windows that had closed by 4 December, and is tried on the 28 days after it, of
# which it has seen nothing. A probability is honest when of those who are told 30%, 30% do leave: the
# points lie on the diagonal.

# %%
horizon = shop.settings.horizon_days
until = shift_days(cutoff, horizon, timezone=shop.timezone)
churn = Churn.fit(shop, cutoff, config=Churn.Config())
leaving = churn.predict(shop, cutoff)[churn.column]
left = ~leaving.index.isin(shop.labels(cutoff, horizon, known_until=until).index)
auc_of_churn = auc(left.astype(float), leaving.to_numpy())

# %%
outcome = pd.DataFrame({"told": leaving, "left": left})
fifths = outcome.groupby(pd.qcut(leaving.rank(method="first"), 5))
points = fifths.agg(told=("told", "mean"), left=("left", "mean"), n=("left", "size"))
spread = 1.96 * np.sqrt(points["told"] * (1 - points["told"]) / points["n"])
figure, axis = plt.subplots(figsize=(4.5, 4.5))
axis.plot([0, 1], [0, 1], color="lightgrey")
axis.errorbar(points["told"], points["left"], yerr=spread, fmt="o")
axis.set(xlabel="told: no order within 28 days", ylabel="share who did not order")
axis.set_title(f"Churn, {len(leaving)} households in fifths (AUC {auc_of_churn:.2f})")
figure.tight_layout()

# %% [markdown]
# ## What will they buy?
# Candidates from many sources, ranked by their chance of being bought within 28 days. Our customer's lists,
# and what came true:

# %%
small = CrossSell.Config(
    n_windows=2, n_trees=40, learning_rate=0.15, n_own=150, n_assortment=4000, n_factors=16
)
cross_sell = CrossSell.fit(shop, cutoff, config=small)
state = cross_sell.state(shop, cutoff)
lists = cross_sell.recommend(state, k=20)
bought = shop.product_labels(cutoff, horizon, known_until=until)[["customer_id", "product_id"]].assign(
    bought=True
)
lists = lists.merge(bought, how="left").fillna({"bought": False})

# %%
theirs = lists.query("customer_id == @customer_id and rank <= 8 and list != 'buy_again'")
named = theirs.assign(product=catalogue.names(catalogue.products.codes(theirs["product_id"].tolist())))
named[["list", "rank", "product", "score", "source", "bought"]].round({"score": 3}).set_index(
    ["list", "rank"]
)

# %%
tenths = lists.groupby(pd.qcut(lists["score"].rank(method="first"), 10))
points = tenths.agg(told=("score", "mean"), true=("bought", "mean"))
figure, axis = plt.subplots(figsize=(4.5, 4.5))
axis.plot([0, 1], [0, 1], color="lightgrey")
axis.plot(points["told"], points["true"], "o")
axis.set(xlabel="told: bought within 28 days", ylabel="share that was bought")
axis.set_title("Every listed product, in tenths")
figure.tight_layout()

# %% [markdown]
# ## What should we do about it?
# A chance is no reason to contact anybody: milk will be bought anyway. An offer is worth what it *changes*,
# in margin, less its cost. How much it changes is an assumption here (`offer_lift` in `recompra.toml`),
# until an experiment tells.

# %%
offers = NextBestOffer.fit(shop, cutoff, config=NextBestOffer.Config())
picks = cross_sell.ready(state, 20)
ready = {name: (pick.product, pick.score) for name, pick in picks.items()}
decisions = offers.decide(shop, cutoff, lists=ready)
summary, _ = offers.evaluate(shop, cutoff, known_until=until, lists=ready)
summary.round(2)

# %%
said, first = summary.loc["next_best_offer"], lists.query("list == 'for_you' and rank <= 5")
print(f"churn: AUC {auc_of_churn:.2f} over {len(leaving)} households, of whom {left.mean():.0%} left")
print(f"lists: {first['bought'].mean():.0%} of the first five were bought")
print(f"offers: {said['n_offers']:.0f}; told {said['chance_said']:.2f}, bought {said['share_bought']:.2f}")
print(f"money under the assumed effect:\n{summary['payoff'].round(2).to_string()}")

# %% [markdown]
# **Answer.** Orders alone tell a good deal. Of one customer we know the rhythm and the products that come
# back; the probability that they order nothing in the next 28 days can be read as it stands; of the five
# products we name first more than a third are bought, and what is new to them is far less certain, which
# its chance says. Yet few chances are worth a contact: offering the likeliest product to everybody, or even
# to as few households as we do, loses money under the same assumptions. What an offer really changes no
# list of orders can tell: that takes an experiment.
