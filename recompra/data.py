"""Data in, and the rights of persons over it: ingest, features, erase, export."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from recompra.edge import Adapter, CustomerId, SettingsFile, console, home, now


def ingest(
    source: Annotated[
        str, typer.Argument(help="A folder or a file, here or at a URL; a database's URL; complete_journey.")
    ],
    adapter: Adapter = None,
    *,
    settings: SettingsFile = None,
    fresh: Annotated[bool, typer.Option(help="Forget what was ingested before.")] = False,
) -> None:
    """Read a shop's tables into the warehouse; rows that cannot be used are kept apart, with the reason."""
    from rich.console import Console

    from features.ingest import ingest as run
    from features.ingest import render
    from models.policy.actions import check_actions
    from serving.persons.rights import Forgotten

    def gone(ids: Sequence[str]) -> Mapping[str, str]:  # asked while nobody else writes the warehouse
        return Forgotten.of(home()).among(ids)

    with Console(stderr=True).status("reading") as status:
        read = partial(run, source, home(), adapter=adapter, settings=settings, fresh=fresh)
        report = read(forgotten=gone, now=now(), tell=status.update, check=check_actions)
    console().print(render(report))


def features() -> None:
    """Print every customer feature: its name, unit and meaning."""
    from rich.table import Table

    from features.customer import CUSTOMER_FEATURES

    table = Table("feature", "unit", "meaning", title=f"Customer features {CUSTOMER_FEATURES.fingerprint}")
    for row in CUSTOMER_FEATURES.catalogue():
        table.add_row(*row)
    console().print(table)


def erase(
    customer_id: CustomerId,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="JSON file for the certificate.")] = None,
) -> None:
    """Erase a customer from store, warehouse and scorings, search every file, and write a certificate."""
    from rich.console import Console

    from serving.persons.erasure import as_text
    from serving.persons.erasure import erase as run
    from serving.state import write_card

    with Console(stderr=True).status("erasing, scoring anew, searching every file"):
        made = run(home(), customer_id, now=now())
    typer.echo(as_text(made))
    if out is not None:
        write_card(out, made.card())
    if not made.clean:
        raise typer.Exit(2)


def export(customer_id: CustomerId) -> None:
    """Print all that is held on a customer, as JSON."""
    import json

    from serving.persons.held import export as run

    typer.echo(json.dumps(run(home(), customer_id), indent=1, default=str, ensure_ascii=False))
