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
# # Whom to contact
# **Question.** We can mail some of our customers. Whom: those likely to leave, those likely to buy, or
# somebody else? And how would we know?
#
# The data is Kevin Hillstrom's e-mail challenge (2008): customers drawn at random for a mail with men's
# goods, a mail with women's, or none, and who visited the shop within two weeks. Set `HILLSTROM` to your
# copy (CSV or Parquet); without one, a shop is made up whose truth is known, so that this runs anywhere.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from models.decisions.economics import incremental_margin
from models.trials.choice import choose_policy
from models.trials.effects import Effects
from models.trials.learners import LearnerConfig
from models.trials.power import propose
from models.trials.qini import curve
from models.trials.trial import Trial
from training.contacts.contact_table import design, read_table

CONTROL, WOMENS, MENS = "No E-Mail", "Womens E-Mail", "Mens E-Mail"
AFTER = ["segment", "visit", "conversion", "spend"]
config = LearnerConfig(n_trees=60, n_repeats=1)

# %% [markdown]
# ## The made-up shop
# A mail with women's goods brings those who bought women's goods, and nobody else. A mail with men's goods
# brings buyers rather than others: the more somebody buys, the more it moves them.

# %%
rng, n = np.random.default_rng(0), 12_000
world = pd.DataFrame({"recency": rng.integers(1, 13, n), "history": rng.gamma(1.0, 240.0, n).round(2)})
world["womens"], world["newbie"] = rng.integers(0, 2, n), rng.integers(0, 2, n)
world["channel"] = rng.choice(["Web", "Phone", "Multichannel"], n)
world["segment"] = rng.choice([CONTROL, WOMENS, MENS], n)
buyer = 0.05 + 0.2 * np.exp(-world["recency"] / 6)
moved = {CONTROL: 0.0, WOMENS: 0.12 * world["womens"], MENS: 0.8 * buyer}
lift = np.select([world["segment"] == arm for arm in moved], list(moved.values()))
world["visit"] = (rng.random(n) < buyer + lift).astype(int)

# %%
file = Path(os.environ.get("HILLSTROM", ""))
mails = read_table(file) if file.is_file() else world
mails.groupby("segment")["visit"].agg(["size", "mean"])

# %% [markdown]
# ## Does a mail change anything?
# Each arm against those who got none. Because chance alone chose, the difference is what the mail did.


# %%
def arm(name: str) -> tuple[pd.DataFrame, Trial]:
    rows = mails[mails["segment"].isin([name, CONTROL])].reset_index(drop=True)
    return rows.drop(columns=AFTER, errors="ignore"), Trial.of(rows["visit"], rows["segment"] == name)


trials = {name: arm(name) for name in (WOMENS, MENS)}
effects = {name: trial.effect for name, (_, trial) in trials.items()}
pd.DataFrame(effects.values(), index=effects, columns=["change of visits", "low", "high"]).round(4)

# %% [markdown]
# ## Who is changed by it?
# Five rankings are learnt and scored on customers they never saw: four that estimate the effect itself, and
# the *response* model, which looks for those likely to visit. *Risk* ranks by how long somebody has been
# away. The Qini says how much more a ranking gains than mailing at random: random is 0, perfect is 1.

# %%
choices, designs = {}, {}
for name, (known, trial) in trials.items():
    designs[name], left_out = design(known, trial)
    risk = {"risk": known["recency"].to_numpy(float)}
    choices[name] = choose_policy(designs[name], trial, config=config, given=risk)
qini = {
    (name, policy): found for name, choice in choices.items() for policy, found in choice.policies.items()
}
board = pd.DataFrame(qini.values(), index=pd.MultiIndex.from_tuples(qini), columns=["Qini", "low", "high"])
board.round(3)

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True)
for axis, (name, choice) in zip(axes, choices.items(), strict=True):
    for policy in dict.fromkeys([choice.chosen, "response", "risk", "random"]):
        share, gained = curve(choice.trial, choice.scores[policy].to_numpy(float))
        axis.plot(share, gained, label=policy, linestyle=":" if policy == "random" else "-")
    axis.set(title=name, xlabel="share of customers mailed", ylabel="visits gained a customer")
    axis.legend()
figure.tight_layout()

# %% [markdown]
# ## Which ranking, and does it beat chance?
# The best of seven figures flatters itself. So the choice is made anew without each fold, and measured on it.

# %%
for name, choice in choices.items():
    print(f"{name}: {choice.verdict}\n  {choice.reason}\n")

# %% [markdown]
# ## From a ranking to money
# The chosen ranking becomes an effect for each customer, with an interval. If a visit is worth 1.00 and a
# mail costs 0.05, the mail pays for those whom it moves by more than five visits in a hundred.

# %%
name = WOMENS
given = {"risk": trials[name][0]["recency"].to_numpy(float)}
learnt = Effects.fit(designs[name], trials[name][1], config=config, given=given)
effect = learnt.effect(designs[name], given)
worth = incremental_margin(learnt.base, effect["effect"], margin=1.0, discount=0.0, cost=0.05)
pays = worth > 0
summary = pd.Series(
    {
        "share it pays to mail": pays.mean(),
        "earned a customer, mailing those": (worth * pays).mean(),
        "earned a customer, mailing all": worth.mean(),
        "effect, most moved tenth": effect["effect"].quantile(0.95),
        "effect, least moved tenth": effect["effect"].quantile(0.05),
    }
)
summary.round(4)

# %% [markdown]
# ## And without an experiment?
# Then nothing above can be known. What it would take, for a shop with 3,000 customers a week of whom one in
# ten orders anyway:

# %%
print(propose(3_000, base_rate=0.10, effect=0.02))

# %% [markdown]
# **Answer.** Mail those whom the mail changes, and let held-out customers say who they are. For the women's
# mail they are neither the likeliest to leave nor the likeliest to visit: the learners of the effect find
# them. The men's mail moves the likely visitors, so there the response model ranks as well as any learner:
# several rankings compete, and the one that wins out of fold is used. Ranking by the risk of leaving, which
# is what churn scores are sold for, gains nothing, and on the real men's mail it is worse than chance. Where
# no ranking beats a random one the verdict is *no detectable effect*, and the next thing to buy is an
# experiment, not a model.
