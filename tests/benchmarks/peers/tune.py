"""Tune one peer where the truth is known, then let it answer: ``tune.py PEER VALIDATION TEST KEPT OUT``.

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

from training.measures.list_metrics import hit_matrix, ndcg

DEPTH = 10


def validate(world: World, truth: pd.DataFrame, lists: dict[str, np.ndarray]) -> dict[str, float]:
    """Return NDCG@10 by ``"horizon segment"``, mean over customers with a truth."""
    found = {}
    for (horizon, segment), pairs in truth.groupby(["horizon", "segment"]):
        customer, product = (pairs[name].to_numpy(np.int64) for name in ("customer", "product"))
        n_true = np.bincount(customer, minlength=world.n_customers)
        figure = ndcg(hit_matrix(lists[segment], customer, product=product), n_true, k=DEPTH)
        found[f"{horizon} {segment}"] = float(np.nanmean(figure))
    return found


def answers(name: str, world: World, at: int, kept: Path) -> dict[str, np.ndarray]:
    """Return the lists of a peer's trial as of a cutoff; kept, for a killed run and for the next cutoff."""
    path = kept / name / f"{world.cutoff_day}-{at}.npz"
    if not path.exists():
        peer, start = PEERS[name], time.process_time()
        found = world.top(peer.scores(world, **peer.trials[at]), DEPTH)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".part.npz"), **found, seconds=time.process_time() - start)
        path.with_suffix(".part.npz").rename(path)
    with np.load(path) as found:
        return dict(found)


def main(name: str, validation: Path, test: Path, kept: Path, out: Path) -> None:
    """Write ``OUT.parquet`` (the chosen trials' lists at the test cutoff) and ``OUT.json`` (every trial)."""
    world, trials = World.read(validation), PEERS[name].trials
    truth = pd.read_parquet(validation / "truth.parquet")
    tried = [answers(name, world, at, kept) for at in range(len(trials))]
    found = [validate(world, truth, lists) for lists in tried]
    chosen = {target: int(np.argmax([figures[target] for figures in found])) for target in found[0]}
    world = World.read(test)
    final = {at: answers(name, world, at, kept) for at in set(chosen.values())}
    parts = [long(final[at], *target.rsplit(" ", 1)) for target, at in chosen.items()]
    pd.concat(parts).to_parquet(out.with_suffix(".parquet"), index=False)
    figures = [{"parameters": each, "ndcg@10": f} for each, f in zip(trials, found, strict=True)]
    card = {"chosen": {target: trials[at] for target, at in chosen.items()}, "trials": figures}
    card["cpu_seconds"] = round(sum(float(each["seconds"]) for each in [*tried, *final.values()]), 1)
    out.with_suffix(".json").write_text(json.dumps(card, indent=1), encoding="utf-8")


def long(lists: dict[str, np.ndarray], horizon: str, segment: str) -> pd.DataFrame:
    """Return one row a recommendation: horizon, list, customer, rank, product."""
    customer, rank = np.nonzero(lists[segment] >= 0)
    columns = {"customer": customer, "rank": rank + 1, "product": lists[segment][customer, rank]}
    return pd.DataFrame({"horizon": horizon, "list": LISTS[segment], **columns})


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
