"""Lists beside the peers', each tuned on the horizon before the cutoff; ours as it comes.

``make bench-lists``, or ``python tests/benchmarks/bench_lists.py --shop online_retail --cutoff 2010-08-13``.
Complete Journey and Online Retail 2009-2010, two cutoffs each; truth: products of the catalogue (five orders
before the cutoff) bought within 28 days, or in the customer's first order at or after the cutoff; the whole
catalogue is ranked; mean over customers with a truth. ``new`` knows only products the customer never bought,
in list and truth. Ours answers both horizons with its 28-day lists. Peers run in an environment of their own,
tuned for each column with eight trials. What is in the scratch folder is not computed again: an interrupted
run goes on where it was, ``rm`` a file to have it anew.
"""

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from lists_cells import HORIZON_DAYS, HORIZONS, METRICS, Cell, cells_of, shop_of
from rich.console import Console
from rich.table import Table

from training.measures.intervals import Interval, drawn
from training.measures.metrics import mean

ROOT, PEERS = Path(__file__).parents[2], Path(__file__).with_name("peers")
RETAIL = ROOT.parent / "shared" / "data" / "online_retail_2009_2010.parquet"
CUTOFFS = {
    "complete_journey": ("2017-11-06", "2017-12-04"),
    "online_retail": ("2010-08-13", "2010-09-10"),
}
OURS, BAR = "recompra", 1.10
LISTS = {"all": "for_you", "new": "new_for_you"}
NAMES = (
    "popularity",
    "personal frequency",
    "personal frequency, decayed",
    "item-item (implicit)",
    "ALS (implicit)",
    "BPR (implicit)",
    "EASE",
    "TIFU-KNN",
    "PureSVD (RecTools)",
)
Figures = dict[str, pd.DataFrame]
"""By method: one row a customer with a truth, one column a metric."""
Found = tuple[str, str, Figures]
"""Horizon, segment, figures."""


def peers_python(scratch: Path) -> Path:
    """Make the peers' environment once; return its interpreter."""
    home = scratch / "peers-env"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        wanted = ["--requirement", str(PEERS / "requirements.txt")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (home / "ready").touch()
    return python


def run_peers(python: Path, folder: Path, console: Console) -> None:
    """Tune and ask each peer, one thread each; one that fails is named and left out."""
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment = {**os.environ, **one, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    for name in NAMES:
        out = folder / "peers" / name
        out.parent.mkdir(exist_ok=True)
        if not out.with_suffix(".json").exists():
            inputs = (folder / "validation", folder / "test", folder.parent / "answers")
            command = [python, PEERS / "tune.py", name, *inputs, out]
            code = subprocess.run(command, env=environment, check=False).returncode
            console.print(f"  {name}: {'done' if code == 0 else f'left out, it ended with {code}'}")


def our_lists(given: Path | None, shop: str, date: str, folder: Path) -> pd.DataFrame:
    """Return what ``recompra backtest`` recommends, from ``given/shop/date`` or ``given`` if there."""
    places = [given / shop / date, given] if given else [folder / "ours"]
    found = next((place for place in places if (place / "recommendations.parquet").exists()), places[0])
    if not (found / "recommendations.parquet").exists():
        options = ["--cutoff", date, "--horizon", str(HORIZON_DAYS), "--only", "cross_sell", "--out", found]
        environment = {**os.environ, "RECOMPRA_HOME": str(folder.parent / "home")}
        command = [Path(sys.executable).with_name("recompra"), "backtest", *options]
        subprocess.run(command, env=environment, check=True)
    return pd.read_parquet(found / "recommendations.parquet")


def measured(cell: Cell, folder: Path, ours: pd.DataFrame) -> Iterator[Found]:
    """Yield horizon, segment and every method's figures."""
    answers = {path.stem: pd.read_parquet(path) for path in sorted((folder / "peers").glob("*.parquet"))}
    for horizon in HORIZONS:
        for segment, name in LISTS.items():
            matrix = cell.holdout.matrix(ours[ours["list"] == name], 10)
            figures = {OURS: cell.figures(matrix, horizon, segment)}
            for method in (known for known in NAMES if known in answers):
                frame = answers[method]
                frame = frame[(frame["horizon"] == horizon) & (frame["list"] == name)]
                figures[method] = cell.figures(cell.of_peer(frame), horizon, segment)
            yield horizon, segment, figures


def against_best(figures: Figures, metric: str) -> tuple[str, Interval]:
    """Return the peer that is best on the test itself, and ours over it with its paired interval.

    A customer of two cutoffs is drawn whole.
    """
    best = max((name for name in figures if name != OURS), key=lambda name: figures[name][metric].mean())
    sums = [figures[name][metric].groupby(level=0).sum().to_numpy(float) for name in (OURS, best)]
    ours, theirs = (drawn((column,), mean, n_draws=1000) for column in sums)
    return best, ours.times(theirs)


def one_cell(shop: str, date: str, source: str, options: argparse.Namespace) -> list[Found]:
    """Run one shop at one cutoff; print every method and return what was measured."""
    console, folder = Console(), options.scratch / shop / date
    validation, test = cells_of(shop_of(source, shop, options.scratch / shop / "home"), date)
    for cell, name in ((validation, "validation"), (test, "test")):
        if not (folder / name / "card.json").exists():
            cell.write(folder / name, truth=cell is validation)
    run_peers(peers_python(options.scratch), folder, console)
    found = list(measured(test, folder, our_lists(options.ours, shop, date, folder)))
    console.print(table_of(f"{shop}, {date}", found))
    return found


def pooled(parts: list[list[Found]]) -> list[Found]:
    """Return the customers of several cutoffs together, by horizon and segment."""
    together = []
    for same in zip(*parts, strict=True):
        methods = [name for name in same[0][2] if all(name in figures for *_, figures in same)]
        joined = {name: pd.concat([figures[name] for *_, figures in same]) for name in methods}
        together.append((*same[0][:2], joined))
    return together


def table_of(title: str, found: list[Found]) -> Table:
    """Return every method's R@10 / NDCG@10, one column a horizon and segment."""
    table = Table("method", title=f"{title}: R@10 / NDCG@10", title_justify="left")
    for horizon, segment, figures in found:
        table.add_column(f"{horizon}, {segment}\n(n = {len(figures[OURS]):,})", justify="right")
    for method in found[0][2]:
        cells = [
            " / ".join(f"{figures[method][name].mean():.4f}" for name in METRICS) for *_, figures in found
        ]
        table.add_row(method, *cells)
    return table


def summary(
    shop: str, date: str, horizon: str, segment: str, figures: Figures
) -> Iterator[dict[str, object]]:
    """Yield one row a metric: ours, the best peer, the ratio and its interval."""
    for metric in METRICS:
        best, ratio = against_best(figures, metric)
        means = {"ours": figures[OURS][metric].mean(), "peer": figures[best][metric].mean()}
        key = {"shop": shop, "cutoff": date, "horizon": horizon, "segment": segment, "metric": metric}
        yield {**key, "best peer": best, **means, **ratio._asdict()}


def verdict(rows: pd.DataFrame) -> Table:
    """Return ours over the best tuned peer, and whether the bar is reached."""
    title = f"ours / best tuned peer, 95% paired interval (bar: {BAR:.2f}, interval above 1)"
    table = Table("shop", "cutoff", "horizon", "products", title=title, title_justify="left")
    for metric in METRICS:
        table.add_column(metric, justify="right")
        table.add_column("best peer, bar")
    keys = ["shop", "cutoff", "horizon", "segment"]
    for key, part in rows.groupby(keys, sort=False):
        cells = []
        for row in part.to_dict("records"):
            reached = "reached" if row["value"] >= BAR and row["low"] > 1 else "missed"
            cells += [f"{row['value']:.2f} ({row['low']:.2f}-{row['high']:.2f})"]
            cells += [f"{row['best peer']} {row['peer']:.4f}, {reached}"]
        table.add_row(*map(str, key), *cells)
    return table


def main() -> None:
    """Run the cells asked for, one after the other, and print the verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shop", choices=list(CUTOFFS), help="only this shop")
    parser.add_argument("--cutoff", help="only this date; with --shop, any date")
    parser.add_argument("--ours", type=Path, help="folder that recompra backtest wrote: use it, do not train")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".recompra" / "bench-lists")
    parser.add_argument("--retail", type=Path, default=RETAIL, help="Online Retail II, 2009-2010, as Parquet")
    options = parser.parse_args()
    options.scratch = options.scratch.resolve()
    rows = []
    for shop in [options.shop] if options.shop else CUTOFFS:
        source = str(options.retail) if shop == "online_retail" else shop
        if shop == "online_retail" and not options.retail.exists():
            print(f"{shop} left out: no file {source}; name it with --retail")
            continue
        dates = [options.cutoff] if options.cutoff else CUTOFFS[shop]
        cells = {date: one_cell(shop, date, source, options) for date in dates}
        if len(cells) > 1:
            cells["both"] = pooled(list(cells.values()))
        rows += [row for date, found in cells.items() for part in found for row in summary(shop, date, *part)]
    if rows:
        frame = pd.DataFrame(rows)
        frame.to_csv(options.scratch / "verdict.csv", index=False)
        Console().print(verdict(frame))


if __name__ == "__main__":
    main()
