"""The command line. Thin: each command imports what it needs, calls a package and prints what came back."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

OPTIONS: Any = {"no_args_is_help": True, "pretty_exceptions_enable": False, "add_completion": False}
app = typer.Typer(help="What each customer will buy next, who is leaving, what they are worth.", **OPTIONS)
models_app = typer.Typer(help="The registry: versions, champions, and the way back.", **OPTIONS)
keys_app = typer.Typer(help="Keys to the service: closed without one.", **OPTIONS)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")

Only = Annotated[str | None, typer.Option(help="One model by its name; all by default.")]
AsOf = Annotated[str | None, typer.Option(help="YYYY-MM-DD; by default the day after the last order.")]
Reason = Annotated[str, typer.Option(help="Kept in the ledger.")]
Adapter = Annotated[str | None, typer.Option(help="Column map: cdnow, complete_journey, online_retail, ...")]


@app.callback()
def _root(debug: Annotated[bool, typer.Option(help="Show the trace of an error.")] = False) -> None:
    """Take the options that come before a command; choose where machine code is kept."""
    from features.compiled import cache_folder

    os.environ.update(cache_folder(home()))


def home() -> Path:
    """Return the folder that holds everything: ``RECOMPRA_HOME``, else ``.recompra``."""
    return Path(os.environ.get("RECOMPRA_HOME") or ".recompra")


def now() -> datetime:
    """Read the clock: only here, at the edge."""
    return datetime.now(UTC)


def console() -> Any:
    """Return what tables are printed on: as wide as they need where nobody's terminal limits them."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def moment(text: str | None) -> datetime | None:
    """Read a date in the shop's zone."""
    from features.warehouse import Warehouse
    from features.window import parse_cutoff

    return None if text is None else parse_cutoff(text, Warehouse(home()).settings.timezone)


@app.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="A folder or a file, here or at a URL; a database's URL; complete_journey.")
    ],
    adapter: Adapter = None,
    fresh: Annotated[bool, typer.Option(help="Forget what was ingested before.")] = False,
) -> None:
    """Read a shop's tables into the warehouse, with quarantine and a quality report."""
    from rich.console import Console

    from features.ingest import ingest as run
    from features.ingest import render
    from serving.persons.rights import Forgotten

    with Console(stderr=True).status("reading") as status:
        gone = Forgotten.of(home()).among
        report = run(source, home(), adapter=adapter, fresh=fresh, forgotten=gone, tell=status.update)
    console().print(render(report))


@app.command()
def train(as_of: AsOf = None, only: Only = None) -> None:
    """Fit, evaluate beside every baseline, track, register, promote what earns it."""
    from training.progress import Shown
    from training.report import table
    from training.train import train as run

    with Shown(home()) as steps:
        report = run(home(), clock=now, as_of=moment(as_of), only=only, steps=steps)
    console().print(table(report.figures(), report.title))
    for trained in report.models:
        typer.echo(f"{trained.name}: {trained}")


@app.command()
def backtest(
    *,
    cutoff: Annotated[str, typer.Option(help="YYYY-MM-DD: models see only what came before.")],
    horizon: Annotated[int, typer.Option(min=1, max=730, help="Days to predict.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the three files.")],
    shop: Annotated[str | None, typer.Option(help="Ingest this into a throw-away home first.")] = None,
    adapter: Adapter = None,
    only: Only = None,
    k: Annotated[int, typer.Option(min=1, max=1000, help="Depth of the lists.")] = 20,
    cutoffs: Annotated[int, typer.Option(min=1, max=100, help="So many, one horizon apart.")] = 1,
) -> None:
    """Train only on what lies before a cutoff, predict the horizon, write predictions and metrics."""
    from contextlib import nullcontext

    from training.backtest import backtest as run
    from training.backtest import throw_away_home
    from training.progress import Shown
    from training.report import table
    from training.rolling import rolling as roll

    asked: dict[str, Any] = {"cutoff": cutoff, "horizon_days": horizon, "only": only, "k": k}
    with throw_away_home(shop, adapter) if shop else nullcontext(home()) as place, Shown(place) as steps:
        if cutoffs > 1:
            return _tell(roll(place, out, n_cutoffs=cutoffs, steps=steps, **asked))
        found = run(place, out, steps=steps, **asked)
        console().print(table(found.figures(), f"{horizon} days from {cutoff}"))
    for name, reason in found.not_learnt.items():
        typer.echo(f"{name}: not learnt: {reason}")
    typer.echo(found.why_not or f"written to {out}")


def _tell(rolled: Any) -> None:
    """Print every figure of ours and of each baseline, by cutoff and of all together."""
    from training.report import boards

    for title, evaluations in rolled.evaluations.items():
        for evaluation in evaluations:
            for board in boards(evaluation, title):
                console().print(board)
    for day, reason in rolled.left_out.items():
        typer.echo(f"{day}: left out: {reason}")


@app.command()
def experiment(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row a customer.")],
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
    from training.experiment import experiment as run
    from training.experiment import tables

    found = run(
        file, treated=treated, outcome=outcome, drop=drop or [], control=control, propensity=propensity
    )
    for table in tables(found):
        console().print(table)
    found.write(out)
    for arm in found.arms:
        typer.echo(f"{arm.name}: {arm.choice.verdict}: {arm.choice.reason}")
    typer.echo(f"written to {out}")


@app.command()
def outcomes(
    policy: Annotated[
        Path | None, typer.Option(help="Another policy to value: a file of customer_id, action.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="JSON file; by default outcomes.json in the home.")
    ] = None,
) -> None:
    """Measure what decisions earned against those held out, and what another policy would have earned."""
    import pandas as pd

    from serving.online.tables import CONTACTS, DECISIONS
    from serving.store import Store
    from training.outcomes import outcomes as run
    from training.outcomes import table
    from training.past_policies import read_policy

    store = Store.open(home())
    decisions, contacts = (
        pd.DataFrame(store.everything(rows), columns=rows.c.keys()) for rows in (DECISIONS, CONTACTS)
    )
    found = run(home(), decisions, contacts, policy=None if policy is None else read_policy(policy))
    if (figures := table(found)).row_count:
        console().print(figures)
    for name, why in found.not_yet.items():
        typer.echo(f"{name}: not yet: {why}")
    if found.proposal:
        typer.echo(f"to find out: {found.proposal}")
    file = out or home() / "outcomes.json"
    found.write(file)
    typer.echo(f"written to {file}")


Verify = Annotated[bool, typer.Option(help="Score nothing: compare what serves with what it comes from.")]


@app.command()
def score(as_of: AsOf = None, verify: Verify = False) -> None:
    """Score all customers with all champions and put the lists in service."""
    from rich.console import Console

    from serving.score import score as run
    from serving.watching.logs import set_up

    if verify:
        return _verify()
    if not sys.stderr.isatty():
        set_up()
    with Console(stderr=True).status("scoring all customers"):
        stamp = run(home(), moment(as_of), now=now())
    typer.echo(f"in service: {home() / 'lists' / stamp}")


def _verify() -> None:
    """Say what was compared; end with an error where anything differs."""
    from serving.scoring.verify import verify as run

    found = run(home())
    found.check()
    typer.echo(
        f"{found.stamp} serves what it comes from: {found.n_customers} customers, {found.n_pairs} pairs"
    )


@app.command()
def plan(
    *,
    from_: Annotated[str | None, typer.Option("--from", help="YYYY-MM-DD; by default today.")] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days the plan covers.")] = 28,
    budget: Annotated[float | None, typer.Option(min=0, help="For contacts and their discounts.")] = None,
    per_day: Annotated[int | None, typer.Option(min=1, help="Most contacts on one day.")] = None,
    format_: Annotated[str, typer.Option("--format", help="csv, ndjson or json.")] = "csv",
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The file; by default it is printed.")
    ] = None,
    audiences: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder for include.csv and exclude.csv: hashed e-mails for ads."),
    ] = None,
) -> None:
    """Plan contacts for everyone: each on its best day and hour, under every rule."""
    from serving.marketing.plan_file import Asked, write_plan

    asked = Asked(from_, days, budget, per_day)
    done, content = write_plan(home(), asked, now(), kind=format_, out=out, audiences=audiences)
    if out is None:
        typer.echo(content.decode(), nl=False)
    typer.echo(str(done), err=out is None)
    if done.experiment:
        typer.echo(done.experiment, err=out is None)


@app.command()
def report(
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one page of KPIs, cohorts, segments and personas; it needs nothing but a browser."""
    from rich.console import Console

    from features.shop import Shop
    from serving.marketing.report import report as run
    from serving.score import moment_of

    with Console(stderr=True).status("counting"):
        page = run(home(), moment_of(Shop(home()), moment(as_of)))
        page.write(out)
    for words in page.left_out:
        typer.echo(f"not known: {words}")
    typer.echo(f"written to {out}")


@app.command()
def demand(
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="A .csv or .parquet file.")] = None,
) -> None:
    """Expect each product's buyers and units over the horizon, with an interval, beside its stock."""
    from serving.marketing.demand import demand as run
    from serving.marketing.demand import table, write

    found = run(home(), moment(as_of))
    console().print(table(found))
    if out is not None:
        write(found, out)
        typer.echo(f"{len(found):,} products written to {out}")


Port = Annotated[int, typer.Option(min=1, max=65535)]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Processes that answer.")]


@app.command()
def serve(host: str = "127.0.0.1", port: Port = 3000, workers: Workers = 1) -> None:
    """Start the service and the watcher beside it."""
    from serving.run import serve as run
    from serving.watching.logs import set_up

    set_up()
    raise typer.Exit(run(home(), host=host, port=port, workers=workers))


@app.command()
def demo(
    serve_after: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve at the end.")] = True,
    port: Port = 3000,
) -> None:
    """Go the whole way on the demo shop, Complete Journey: ingest, train, evaluate, score, then serve."""
    ingest("complete_journey")
    train()
    score()
    key = _demo_key()
    at = f"http://127.0.0.1:{port}"
    typer.echo(f"\nWhile `recompra serve` runs (the key is kept in {home() / 'demo.key'}):\n")
    for path, body in DEMO:
        headers = f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
        typer.echo(f"curl -s {at}{path} {headers} -d '{body}'")
    if serve_after:
        typer.echo("")
        serve(port=port)


DEMO = (
    ("/recommend", '{"customer_id": "1", "list": "for_you", "k": 5}'),
    ("/customer", '{"customer_id": "1"}'),
    ("/retention_targets", '{"budget": 50, "limit": 3}'),
)


def _demo_key() -> str:
    """Return the demo's key, made once and kept where only its owner reads it."""
    from serving.entrance.keys import create
    from serving.store import Store

    path = home() / "demo.key"
    if not path.is_file():
        store = Store.open(home())
        path.touch(mode=0o600)
        path.write_text(create(store, ["storefront", "crm"], name="demo", now=now()), encoding="utf-8")
        store.close()
    return path.read_text(encoding="utf-8")


@app.command()
def features() -> None:
    """Print the catalogue of customer features: name, unit, meaning."""
    from rich.table import Table

    from features.customer import CUSTOMER_FEATURES

    table = Table("feature", "unit", "meaning", title=f"Customer features {CUSTOMER_FEATURES.fingerprint}")
    for row in CUSTOMER_FEATURES.catalogue():
        table.add_row(*row)
    console().print(table)


@app.command()
def erase(
    customer_id: str,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="JSON file for the certificate.")] = None,
) -> None:
    """Erase a customer from store, warehouse and scorings, search every file, and certify it."""
    from rich.console import Console

    from serving.persons.erasure import erase as run
    from serving.persons.erasure import told
    from serving.state import write_card

    with Console(stderr=True).status("erasing, scoring anew, searching every file"):
        made = run(home(), customer_id, now=now())
    typer.echo(told(made))
    if out is not None:
        write_card(out, made.card())
    if not made.clean:
        raise typer.Exit(2)


@app.command()
def export(customer_id: str) -> None:
    """Print all that is held on a customer, as JSON."""
    import json

    from serving.persons.rights import export as run

    typer.echo(json.dumps(run(home(), customer_id), indent=1, default=str, ensure_ascii=False))


@models_app.command("list")
def models_list() -> None:
    """Show every model: what it answers, its champion and challenger."""
    from training.boards import models

    console().print(models(home()))


@models_app.command()
def compare(name: str, versions: Annotated[list[int] | None, typer.Argument()] = None) -> None:
    """Show the figures of versions side by side; by default the champion's and the challenger's."""
    from training.boards import comparison

    console().print(comparison(home(), name, versions or []))


@models_app.command()
def promote(name: str, version: int, reason: Reason = "") -> None:
    """Make a version the champion."""
    from training.tracking import Tracking

    typer.echo(
        f"{Tracking(home()).promote(name, version, now=now(), reason=reason or 'by hand')} is champion"
    )


@models_app.command()
def rollback(name: str, reason: Reason = "") -> None:
    """Put back the version that the champion replaced."""
    from training.tracking import Tracking

    typer.echo(f"{Tracking(home()).rollback(name, now=now(), reason=reason)} is champion again")


@models_app.command()
def history(
    name: Annotated[str | None, typer.Argument()] = None,
    at: Annotated[str | None, typer.Option(help="'YYYY-MM-DD HH:MM' in the shop's zone: only then.")] = None,
) -> None:
    """Show which version was champion from when to when, and why; at a moment, also what answered."""
    from serving.scoring.kept import served
    from training.boards import history as board

    then = moment(at)
    console().print(board(home(), name, at=then))
    if then is not None:
        typer.echo(served(home(), then))


@keys_app.command("create")
def keys_create(
    scope: Annotated[list[str], typer.Option(help="storefront, crm or admin; may be given twice.")],
    name: Annotated[str, typer.Option(help="Whose key it is.")] = "",
    per_second: Annotated[float | None, typer.Option(help="Requests a second, at most.")] = None,
) -> None:
    """Make a key and print it: it cannot be read again."""
    from serving.entrance.keys import create
    from serving.store import Store

    typer.echo(create(Store.open(home()), scope, name=name, now=now(), per_second=per_second))


@keys_app.command("list")
def keys_list() -> None:
    """Show every key ever made, without its secret."""
    from rich.table import Table

    from serving.entrance.keys import listed
    from serving.store import Store

    table = Table("id", "name", "scopes", "made", "revoked")
    for key in listed(Store.open(home())):
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        table.add_row(
            key.key_id, key.name, ", ".join(sorted(key.scopes)), f"{key.created_at:%Y-%m-%d %H:%M}", revoked
        )
    console().print(table)


@keys_app.command("revoke")
def keys_revoke(key_id: str) -> None:
    """Close a key, at once and in every worker."""
    from serving.entrance.keys import revoke
    from serving.store import Store

    revoke(Store.open(home()), key_id, now=now())
    typer.echo(f"{key_id} is closed")


def main() -> None:
    """Run a command; an error is one line on stderr and a code: 2 for what a user can mend, 1 for a bug."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy: BLAS threads fight with ours
        os.environ.setdefault(name, "1")
    try:
        app()
    except Exception as error:  # the edge: no user meets a stack trace unasked; --debug shows it
        if "--debug" in sys.argv:
            raise
        told = _mendable(error)
        _complain(told or f"unexpected {type(error).__name__}: {error} (--debug shows where)")
        sys.exit(2 if told else 1)


def _mendable(error: Exception) -> str:
    """Return what to tell of an error that a user can mend; empty for a fault of ours."""
    from features.errors import RecompraError

    if isinstance(error, RecompraError):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        hint = "check the path and the room on its disk; RECOMPRA_HOME says where everything is kept"
        return f"{place}{error.strerror or error}. Hint: {hint}"
    from sqlite3 import DatabaseError

    from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

    faults = (IntegrityError, ProgrammingError)
    if isinstance(error, DBAPIError | DatabaseError) and not isinstance(error, faults):
        hint = "start it, restore it, give it room, or mend RECOMPRA_STORE_URL and RECOMPRA_TRACKING_URI"
        return (
            f"a database cannot be used: {str(getattr(error, 'orig', error)).splitlines()[0]}. Hint: {hint}"
        )
    return ""


def _complain(told: str) -> None:
    """Say what went wrong, in the manner of whatever was said before."""
    import logging

    from serving.watching.logs import in_json

    told = " ".join(told.split())
    if in_json():
        logging.getLogger("recompra").error("%s", told)
    else:
        typer.echo(f"recompra: {told}", err=True)


if __name__ == "__main__":
    main()
