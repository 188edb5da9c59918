"""Output for everyone: score, plan, report, demand."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from recompra.edge import AsOf, console, home, moment, now

Verify = Annotated[bool, typer.Option(help="Score nothing: compare what serves with what it comes from.")]


def score(as_of: AsOf = None, verify: Verify = False) -> None:
    """Score all customers with all champions and put the lists in service."""
    from rich.console import Console

    from features.errors import SettingsError
    from serving.score import notes, silence
    from serving.score import score as run
    from serving.watching.logs import set_up

    if verify and as_of is not None:
        raise SettingsError(
            "--verify checks the scoring in service, as of its own moment", "leave out --as-of"
        )
    if verify:
        return _verify()
    if not sys.stderr.isatty():
        set_up()
    with Console(stderr=True).status("scoring all customers"):
        stamp = run(home(), then := moment(as_of), now=now())
    typer.echo(f"in service: {home() / 'lists' / stamp}")
    for words in filter(None, (silence(home(), then), *notes(home(), stamp))):
        typer.echo(words)


def _verify() -> None:
    """Print what was compared; end with an error if anything differs."""
    from serving.scoring.verify import verify as run

    found = run(home())
    found.check()
    typer.echo(
        f"{found.stamp} serves what it comes from: {found.n_customers} customers, {found.n_pairs} pairs"
    )


def plan(
    *,
    from_: Annotated[
        str | None, typer.Option("--from", help="YYYY-MM-DD; by default today, or the day of an old scoring.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days the plan covers.")] = 28,
    budget: Annotated[float | None, typer.Option(min=0, help="For contacts and their discounts.")] = None,
    per_day: Annotated[int | None, typer.Option(min=1, help="Most contacts on one day.")] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="csv, ndjson or json; by default as --out ends, else csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The file; by default it is printed.")
    ] = None,
    audiences: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder for include.csv and exclude.csv: hashed e-mails for ads."),
    ] = None,
) -> None:
    """Plan contacts for everyone: each on its best day and hour, under every rule."""
    from serving.marketing.plan_file import PlanAsked, write_plan

    asked = PlanAsked(from_, days, budget, per_day)
    done, content = write_plan(home(), asked, now=now(), kind=format_, out=out, audiences=audiences)
    if out is None:
        typer.echo(content.decode(), nl=False)
    typer.echo(str(done), err=out is None)
    for words in filter(None, (done.switched_off, done.experiment)):
        typer.echo(words, err=out is None)


def report(
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one page of KPIs, cohorts, segments and personas; it needs nothing but a browser."""
    from rich.console import Console

    from features.shop import Shop
    from serving.reports.report import report as run
    from serving.score import moment_of, silence

    with Console(stderr=True).status("counting"):
        page = run(home(), moment_of(Shop(home()), then := moment(as_of), now=now()))
        page.write(out)
    if message := silence(home(), then):
        typer.echo(message)
    for words in [*page.caveats(), *(f"not known: {what}" for what in page.missing())]:
        typer.echo(words)
    typer.echo(f"written to {out}")


def demand(
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="A .csv or .parquet file.")] = None,
) -> None:
    """Forecast each product's buyers and units over the horizon, with an interval, beside its stock."""
    from features.words import counted
    from serving.reports.demand import check_suffix, guests_counted, season_unknown, table, write
    from serving.reports.demand import demand as run
    from serving.score import silence

    if out is not None:
        check_suffix(out)
    found = run(home(), then := moment(as_of), now=now())
    console().print(table(found))
    notes = silence(home(), then), guests_counted(home()), season_unknown(home(), found)
    for note in filter(None, notes):
        typer.echo(note)
    if out is not None:
        write(found, out)
        typer.echo(f"{counted(len(found), 'product')} written to {out}")
