"""Training and measurement: train, backtest, experiment, outcomes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recompra.edge import Adapter, AsOf, Only, SettingsFile, console, home, moment, now

if TYPE_CHECKING:
    from training.backtest import Backtest
    from training.rolling import Rolling


def train(as_of: AsOf = None, only: Only = None) -> None:
    """Train every model, compare it with its baselines, and put in service what earns it."""
    from training.progress import Shown
    from training.report import table
    from training.train import train as run

    with Shown(home()) as steps:
        report = run(home(), clock=now, as_of=moment(as_of), only=only or (), steps=steps)
    console().print(table(report.figures(), report.title))
    for trained in report.models:
        typer.echo(f"{trained.name}: {trained}")
        for words in trained.notes:
            typer.echo(f"  {words}")


def backtest(
    *,
    cutoff: Annotated[str, typer.Option(help="YYYY-MM-DD: models see only what came before.")],
    horizon: Annotated[int, typer.Option(min=1, max=730, help="Days to predict.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the three files.")],
    shop: Annotated[str | None, typer.Option(help="Ingest this into a throw-away home first.")] = None,
    adapter: Adapter = None,
    settings: SettingsFile = None,
    only: Only = None,
    k: Annotated[int, typer.Option(min=1, max=1000, help="Depth of the lists.")] = 20,
    cutoffs: Annotated[int, typer.Option(min=1, max=100, help="So many, one horizon apart.")] = 1,
) -> None:
    """Train only on what lies before a cutoff, predict the horizon, write predictions and metrics."""
    from contextlib import nullcontext
    from datetime import timedelta

    from features.window import parse_cutoff
    from training.backtest import backtest as run
    from training.backtest import check_apart, throw_away_home
    from training.progress import Shown
    from training.rolling import rolling as roll

    if shop:
        check_apart(shop, out)
    end = parse_cutoff(cutoff) + timedelta(days=horizon)  # a synthetic shop may have dates in the future
    asked: dict[str, Any] = {"cutoff": cutoff, "horizon_days": horizon, "only": only or (), "k": k}
    thrown = throw_away_home(shop, adapter, settings=settings, now=max(now(), end)) if shop else None
    with (
        thrown or nullcontext(home()) as place,
        Shown(place) as steps,
    ):
        if cutoffs > 1:
            return _tell_all(roll(place, out, n_cutoffs=cutoffs, steps=steps, **asked))
        found = run(place, out, steps=steps, **asked)
    _tell(found, f"{horizon} days from {cutoff}")
    typer.echo(f"written to {out}")


def _tell(found: "Backtest", title: str) -> None:
    """Print the headline figures, and which models could not be learnt or measured."""
    from training.report import table

    console().print(table(found.figures(), title))
    for name, reason in found.not_learnt.items():
        typer.echo(f"{name}: not learnt: {reason}")
    for note in found.notes:
        typer.echo(note["text"])
    if found.why_not:
        typer.echo(found.why_not)


def _tell_all(rolled: "Rolling") -> None:
    """Print all figures, ours and the baselines', by cutoff and pooled."""
    from training.report import method_tables

    for title, evaluations in rolled.evaluations.items():
        for evaluation in evaluations:
            for board in method_tables(evaluation, title):
                console().print(board)
    for day, reason in rolled.left_out.items():
        typer.echo(f"{day}: left out: {reason}")
    for day, models in rolled.not_learnt.items():
        for name, reason in models.items():
            typer.echo(f"{day}: {name}: not learnt: {reason}")


def experiment(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per customer.")],
    *,
    treated: Annotated[str, typer.Option(help="Column of 0 and 1, or of arms; COL=ARM takes one arm.")],
    outcome: Annotated[str, typer.Option(help="Column of what followed: 0 or 1, or an amount.")],
    drop: Annotated[list[str] | None, typer.Option(help="Column not to learn from; may be repeated.")] = None,
    control: Annotated[
        str | None, typer.Option(help="What the held out are called in a column of arms.")
    ] = None,
    propensity: Annotated[str | None, typer.Option(help="Column of each row's chance of contact.")] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the two files.")],
) -> None:
    """Measure a randomised contact: its effect, and the Qini of each way to choose whom to contact."""
    from training.contacts.experiment import experiment as run
    from training.contacts.experiment import tables

    found = run(
        file, treated=treated, outcome=outcome, drop=drop or [], control=control, propensity=propensity
    )
    for table in tables(found):
        console().print(table)
    found.write(out)
    if found.n_repeated:
        typer.echo(f"rows that repeat another one of the same customer, left out: {found.n_repeated:,}")
    for arm in found.arms:
        typer.echo(f"{arm.name}: {arm.choice.verdict}: {arm.choice.reason}")
        for column, why in arm.left_out.items():
            typer.echo(f"  {column} is not learnt from: {why}")
    typer.echo(f"written to {out}")


def outcomes(
    policy: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Another policy to value: a file of customer_id, action."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="JSON file; by default outcomes.json in the home.")
    ] = None,
) -> None:
    """Measure what decisions earned against those held out, and what another policy would have earned."""
    import pandas as pd

    from features.shop import Shop
    from serving.online.tables import CONTACTS, DECISIONS
    from serving.store import Store
    from training.contacts.outcome_tables import boards, sentences
    from training.contacts.outcomes import outcomes as run
    from training.contacts.past_policies import read_policy

    Shop(home())  # refuses a folder that is no home
    store = Store.to_read(home())
    decisions, contacts = (
        pd.DataFrame(store.everything(rows), columns=rows.c.keys()) for rows in (DECISIONS, CONTACTS)
    )
    found = run(home(), decisions, contacts=contacts, policy=None if policy is None else read_policy(policy))
    for board in boards(found):
        console().print(board)
    for words in sentences(found):
        typer.echo(words)
    file = out or home() / "outcomes.json"
    found.write(file)
    typer.echo(f"written to {file}")
