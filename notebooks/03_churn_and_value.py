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
# # Churn and value
# **Question.** Who is leaving, what are they worth, whom is it worth keeping, and where should these scores
# not be trusted?
#
# The shop is CDNOW, the sample that the field has measured itself on since 2005: 2,357 customers who first
# bought in early 1997, and no contract that would tell when one has left.

# %%
import os
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from features.errors import CannotLearn
from features.ingest import ingest
from features.kpi import cohorts, facts, kpis
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.churn import Churn
from models.customers.profiles import profiles
from models.customers.reasons import sentences
from models.ltv import Ltv
from models.segments import Segments
from training.measures.metrics import auc, bias, ece, normalised_gini

home = Path(os.environ.get("RECOMPRA_HOME", ".recompra")) / "notebook-03"
sample = Path(find_spec("lifetimes").submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
ingest(str(sample), home, adapter="cdnow", fresh=True)
shop = Shop(home)
cutoff, horizon = parse_cutoff("1998-01-01", shop.timezone), shop.settings.horizon_days
shop.facts

# %% [markdown]
# ## A cohort decays, and then it does not
# Most never come back after the first month; those who do come back go on coming. So what a customer did
# last week says less than whether there ever was a second order.

# %%
found = cohorts(shop, cutoff)
figure, axis = plt.subplots(figsize=(6, 3.5))
for month, row in found.drop(columns="n").iterrows():
    row.dropna().plot(ax=axis, marker=".", label=f"first bought in {month}")
axis.set(xlabel="months since the first purchase", ylabel="share who bought", ylim=(0, None))
axis.legend()
figure.tight_layout()

# %%
kpis(facts(shop, cutoff)).set_index("kpi")[["value", "low", "high", "n"]].dropna().round(3)

# %% [markdown]
# ## Is a probability one?
# Both models learn from windows that had closed by the cutoff. What follows it is read only here.

# %%
features = shop.customer_features(cutoff)
churn, ltv = Churn.fit(shop, cutoff, config=Churn.Config()), Ltv.fit(shop, cutoff, config=Ltv.Config())
scores = churn.predict(shop, cutoff).join(ltv.predict(shop, cutoff))
followed = shop.labels(
    cutoff, horizon, known_until=shift_days(cutoff, horizon, timezone=shop.timezone)
).reindex(scores.index)
risk, value = scores[churn.column], scores[f"expected_revenue_{horizon}d"]
left, spent = followed["n_order_days"].isna().to_numpy(float), followed["revenue"].fillna(0.0).to_numpy()

# %%
tenths = pd.DataFrame({"said": risk, "came": left}).groupby(pd.qcut(risk.rank(method="first"), 10))
points = tenths.agg(said=("said", "mean"), came=("came", "mean"), n=("came", "size"))
spread = 1.96 * np.sqrt(points["said"] * (1 - points["said"]) / points["n"])
figure, axis = plt.subplots(figsize=(4.5, 4.5))
axis.plot([0, 1], [0, 1], color="lightgrey")
axis.errorbar(points["said"], points["came"], yerr=spread, fmt="o")
axis.set(xlabel=f"said: no order within {horizon} days", ylabel="share who did not order")
figure.tight_layout()

# %% [markdown]
# ## Does the money add up?
# Finance books totals. In tenths of expected revenue, what was said beside what came.

# %%
tenths = pd.DataFrame({"said": value, "came": spent}).groupby(pd.qcut(value.rank(method="first"), 10))
books = tenths.sum().reset_index(drop=True).round(0)
books.assign(share_of_revenue=(books["came"] / books["came"].sum()).round(3)).iloc[::-1]

# %%
bounds = scores[[f"expected_revenue_{horizon}d_p10", f"expected_revenue_{horizon}d_p90"]].to_numpy()
inside = ((spent >= bounds[:, 0] - 0.005) & (spent <= bounds[:, 1] + 0.005)).mean()
figures = {
    "AUC of churn": auc(left, risk.to_numpy()),
    "ECE of churn": ece(left, risk.to_numpy()),
    "Gini of revenue": normalised_gini(spent, value.to_numpy()),
    "bias of total revenue": bias(spent, value.to_numpy()),
    "truth between p10 and p90": inside,
}
pd.Series(figures).round(3)

# %% [markdown]
# ## Who is worth keeping?
# Those at the highest risk are worth next to nothing: they have left. What is at stake is the value of those
# who may go *and* would be missed. Same number of customers, picked by either:

# %%
margin = scores[f"expected_margin_{horizon}d"]
stake = risk * margin / (1 - risk)
picks = {"by risk": risk, "by what is at stake": stake}
chosen = {name: score.nlargest(200).index for name, score in picks.items()}
pd.DataFrame(
    {
        name: {
            "mean risk": risk[ids].mean(),
            "expected margin": margin[ids].sum(),
            "came back": 1 - left[scores.index.isin(ids)].mean(),
            "spent": spent[scores.index.isin(ids)].sum(),
        }
        for name, ids in chosen.items()
    }
).round(2)

# %% [markdown]
# What to tell the one who calls them: the model's own reasons.

# %%
why = churn.explain(shop, cutoff)
for name in stake.nlargest(200).index[[0, 50, 100, 199]]:
    told = sentences(why.loc[name].to_dict(), features.loc[name].to_dict())
    print(f"{name}: risk {risk[name]:.2f}; " + "; ".join(reason["text"] for reason in told))

# %% [markdown]
# ## Segments
# Names for a meeting. The scores should hold within each: said and came, side by side.

# %%
segment = Segments.fit(shop, cutoff, config=Segments.Config()).predict(shop, cutoff)["segment"]
within = pd.DataFrame({"said": risk, "came": left}).groupby(segment.to_numpy()).mean()
profiles(segment, features)[["n_customers", "revenue_share", "days_since_last_order"]].join(within).round(3)

# %% [markdown]
# ## Where not to trust them
# A horizon that the history cannot hold is refused, with the one that it can; a one-time buyer's date of the
# next order is not known, and not invented.

# %%
try:
    Churn.fit(shop, parse_cutoff("1997-05-01"), config=Churn.Config(horizon_days=180))
except CannotLearn as refusal:
    print(refusal)
once = features["frequency"] == 0
known = scores["next_order_at"].notna()
print(
    f"next order known: {known[once].mean():.0%} of one-time buyers, {known[~once].mean():.0%} of the others"
)

# %% [markdown]
# **Answer.** A probability said here can be read as one, and the total of expected revenue can stand in a
# budget, with its error shown above. A single customer's amount cannot: most spend nothing, and the interval
# says so. Those at the highest risk have left already; worth keeping are those who may go and would be
# missed. Whether a contact keeps them is another question: that takes an experiment.
