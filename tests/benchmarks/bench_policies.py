"""A year of contacts in a shop whose truth is known: what each way of choosing customers earns.

    python tests/benchmarks/bench_policies.py [--customers 3000] [--rounds 13] [--seeds 3]

Every policy meets the same customers, the same luck and the same budget: a round every four weeks, contacts
for a fifth of the customers. Before, half a year without contacts and three rounds at random teach everybody
the same. Ours is the product's: scores and effects of the trained models, the economics of ``recompra.toml``,
the rules of contact; a tenth of its budget goes to customers drawn at random, as many are held out, and
every quarter it learns again from what it did. The others choose by risk, by the chance to buy
(likelihood), by the chance to buy if contacted (response), at random, everybody in turn, nobody.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from worlds.shop import Truth, World

from features.arrays.history import Vocabulary
from features.window import parse_cutoff
from models.budgets.allocation import allocate
from models.churn import Churn
from models.decisions.case import Case, Terms
from models.decisions.everyone import options
from models.decisions.reading import read_people, read_standing
from models.ltv import Ltv
from models.policy.actions import Action
from models.policy.subjects import Goods
from models.trials.learners import response
from models.uplift import Uplift

ACTION = Action(name="win_back", cooldown_days=27)
NO_GOODS = Goods(np.zeros(1), np.full(1, np.nan), np.full(1, np.nan), np.zeros(1, bool))
WARM_UP_WEEKS, TRIALS, ROUND_WEEKS = 26, 3, 4
RELEARN_ROUNDS = 3
"""Ours learns again every quarter from what it did; the others rank by what was learnt before the year."""
BUDGET_SHARE = 0.20
"""Customers contacted a round, of all."""
EXPLORED = 0.10
"""Share of our budget spent at random, so that there is something to learn from."""


class Knowledge:
    """What a shop knows at one moment: trained models, and everyone's scores today."""

    def __init__(self, world: World, folder: Path, models: "tuple[Any, ...] | None" = None) -> None:
        self.world, self.shop = world, world.shop(folder)
        self.cutoff = cutoff = parse_cutoff(f"{world.today:%Y-%m-%d}")
        kinds = (Churn, Ltv, Uplift)
        self.models = models or tuple(kind.fit(self.shop, cutoff, config=kind.Config()) for kind in kinds)
        churn, ltv, uplift = self.models
        self.features = self.shop.customer_features(cutoff)
        scores = churn.predict_from(self.features, cutoff).join(ltv.predict_from(self.features, cutoff))
        self.risk = scores[churn.column].to_numpy()
        people = Vocabulary.of(self.features.index.to_list())
        self.options = options(
            Case(
                read_people(self.shop, cutoff, customers=people),
                np.zeros((len(people), 0), np.int32),
                np.zeros((len(people), 0)),
                np.zeros((len(people), 0)),
                standing=read_standing(self.shop, cutoff, customers=people, scores=scores),
                learnt={ACTION.name: uplift.effect(self.features)["effect"].to_numpy()},
            ),
            NO_GOODS,
            terms=Terms(horizon_days=28, economics=self.shop.settings.economics, actions=(ACTION,)),
        )
        self.code = pd.Index(world.ids()).get_indexer(self.features.index)

    def chosen(self, score: Any, n: int) -> Any:
        """Return the ``n`` best permitted customers by ``score`` as a mask over the world's customers."""
        permitted = np.flatnonzero(self.options.refused[:, 0] < 0)
        return self.mask(permitted[np.argsort(-score[permitted], kind="stable")[:n]])

    def mask(self, rows: Any) -> Any:
        """Return rows of ``features`` as a mask over the world's customers."""
        found = np.zeros(self.world.truth.n_customers, bool)
        found[self.code[rows]] = True
        return found


def ours(knows: Knowledge, n: int, round_at: int) -> None:
    """Contact ours; explore with a part of the budget among the others, with as many held out."""
    rng = np.random.default_rng(round_at)
    explored = int(EXPLORED * n)
    budget = (n - explored) * knows.world.truth.contact_cost
    best = knows.mask(np.flatnonzero(allocate(knows.options, budget).action >= 0))
    rest = knows.code[(knows.options.refused[:, 0] < 0) & ~best[knows.code]]
    rest = rng.permutation(rest)[: 2 * explored]
    treated, held = np.zeros_like(best), np.zeros_like(best)
    treated[rest[::2]], held[rest[1::2]] = True, True
    knows.world.contact(treated | best, held, np.where(treated | held, 0.5, 1.0))


def by(score: Callable[[Knowledge], Any]) -> Callable[[Knowledge, int, int], None]:
    """Return the policy that contacts the best by a score."""
    return lambda knows, n, _: knows.world.contact(knows.chosen(score(knows), n))


def _everybody_in_turn(knows: Knowledge, n: int, round_at: int) -> None:
    turn = (np.arange(len(knows.features)) - round_at * n) % len(knows.features)
    knows.world.contact(knows.chosen(-turn.astype(float), n))


def _responses(knows: Knowledge) -> Any:
    arm = next(iter(knows.models[2].arms.values()))
    return response(arm.parts, knows.features.to_numpy(float))


def _random(knows: Knowledge) -> Any:
    return np.random.default_rng(knows.world.now).random(len(knows.features))


POLICIES: dict[str, Callable[[Knowledge, int, int], None]] = {
    "ours": ours,
    "risk": by(lambda knows: knows.risk),
    "likelihood": by(lambda knows: 1 - knows.risk),
    "response": by(_responses),
    "random": by(_random),
    "all in turn": _everybody_in_turn,
    "none": lambda knows, n, _: None,
}


def warmed_up(truth: Truth, seed: int, rounds: int) -> World:
    """Return a shop half a year old, after its experiment."""
    weeks = WARM_UP_WEEKS + ROUND_WEEKS * (TRIALS + rounds)
    world, rng = World(truth, seed, weeks), np.random.default_rng(seed)
    for _ in range(WARM_UP_WEEKS):
        world.week()
    for _ in range(TRIALS):
        treated = rng.random(truth.n_customers) < 0.5
        world.contact(treated, ~treated, 0.5)
        for _ in range(ROUND_WEEKS):
            world.week()
    return world


def year(world: World, name: str, models: Any, rounds: int, folder: Path) -> dict[str, float]:
    """Let a policy run the shop; return margin earned after contacts are paid, and what it spent."""
    n, earned, spent = int(BUDGET_SHARE * world.truth.n_customers), 0.0, 0.0
    for round_at in range(rounds):
        if name != "none":
            again = name == "ours" and round_at > 0 and round_at % RELEARN_ROUNDS == 0
            knows = Knowledge(world, folder / f"{name}-{round_at}", None if again else models)
            models = knows.models
            POLICIES[name](knows, n, round_at)
            spent += float(world.contacts[world.now].sum()) * world.truth.contact_cost
        earned += sum(world.week() for _ in range(ROUND_WEEKS))
    return {"margin": earned - spent, "spent": spent, "still here": float(world.alive.mean())}


def compare(truth: Truth, seed: int, rounds: int) -> pd.DataFrame:
    """Return what each policy earned in one shop, and beyond doing nothing; best first."""
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), warmed_up(truth, seed, rounds)
        models = Knowledge(start, folder / "start").models
        rows = {policy: year(start.branch(), policy, models, rounds, folder) for policy in POLICIES}
    found = pd.DataFrame(rows).T
    return found.assign(beyond_none=found["margin"] - found.loc["none", "margin"])


def main() -> None:
    """Print a table a seed, and by how much ours beats the best other."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--customers", type=int, default=3000)
    options.add_argument("--rounds", type=int, default=13)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--first", type=int, default=0)
    asked = options.parse_args()
    for seed in range(asked.first, asked.first + asked.seeds):
        found = compare(Truth(n_customers=asked.customers), seed, asked.rounds)
        others = found.drop(index="ours")["margin"]
        ratio = found.loc["ours", "margin"] / others.max()
        print(f"\nseed {seed}: a year of {asked.rounds} rounds, {asked.customers} customers, EUR")
        print(found.round(2).to_string())
        print(f"ours / best other ({others.idxmax()}): {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
