"""Tune one peer where the truth is known, then let it answer: ``tune.py PEER VALIDATION TEST OUT``.

Each horizon and segment picks the trial with the best NDCG@10 of its own: a peer is at its best in each row.
Runs in the peers' environment, one thread; what it borrows from us is the metric.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from methods import PEERS
from world import LISTS, World

from training.metrics import hit_matrix, ndcg

DEPTH = 10


def validate(world: World, truth: pd.DataFrame, lists: dict[str, np.ndarray]) -> dict[str, float]:
    """Return NDCG@10 by ``"horizon segment"``, mean over customers with a truth."""
    found = {}
    for (horizon, segment), pairs in truth.groupby(["horizon", "segment"]):
        customer, product = (pairs[name].to_numpy(np.int64) for name in ("customer", "product"))
        n_true = np.bincount(customer, minlength=world.n_customers)
        figure = ndcg(hit_matrix(lists[segment], customer, product), n_true, DEPTH)
        found[f"{horizon} {segment}"] = float(np.nanmean(figure))
    return found


def main(name: str, validation: Path, test: Path, out: Path) -> None:
    """Write ``OUT.parquet`` (the chosen trials' lists at the test cutoff) and ``OUT.json`` (every trial)."""
    peer, world, start = PEERS[name], World.read(validation), time.process_time()
    truth = pd.read_parquet(validation / "truth.parquet")
    trials = [validate(world, truth, world.top(peer.scores(world, **t), DEPTH)) for t in peer.trials]
    chosen = {target: int(np.argmax([trial[target] for trial in trials])) for target in trials[0]}
    world = World.read(test)
    answers = {at: world.top(peer.scores(world, **peer.trials[at]), DEPTH) for at in set(chosen.values())}
    parts = [long(answers[at], *target.rsplit(" ", 1)) for target, at in chosen.items()]
    pd.concat(parts).to_parquet(out.with_suffix(".parquet"), index=False)
    figures = [{"parameters": t, "ndcg@10": f} for t, f in zip(peer.trials, trials, strict=True)]
    card = {"chosen": {target: peer.trials[at] for target, at in chosen.items()}, "trials": figures}
    card["cpu_seconds"] = round(time.process_time() - start, 1)
    out.with_suffix(".json").write_text(json.dumps(card, indent=1), encoding="utf-8")


def long(lists: dict[str, np.ndarray], horizon: str, segment: str) -> pd.DataFrame:
    """Return one row a recommendation: horizon, list, customer, rank, product."""
    customer, rank = np.nonzero(lists[segment] >= 0)
    columns = {"customer": customer, "rank": rank + 1, "product": lists[segment][customer, rank]}
    return pd.DataFrame({"horizon": horizon, "list": LISTS[segment], **columns})


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
