"""The edge of the command line: home folder, clock, terminal; options that several commands share."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

Only = Annotated[
    list[str] | None, typer.Option(help="A model by its name; give it again for another. All by default.")
]
AsOf = Annotated[str | None, typer.Option(help="YYYY-MM-DD; by default the day after the last order.")]
Adapter = Annotated[
    str | None,
    typer.Option(
        help="Column map: canonical (default), shopify, woocommerce, complete_journey, online_retail, cdnow."
    ),
]

CustomerId = Annotated[str, typer.Argument(help="As in the shop's orders; capital letters count.")]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        exists=True,
        dir_okay=False,
        help="The shop's recompra.toml, where it cannot lie beside the tables: in a database.",
    ),
]


def home() -> Path:
    """Return the home folder: ``RECOMPRA_HOME``, else ``.recompra``."""
    return Path(os.environ.get("RECOMPRA_HOME") or ".recompra")


def now() -> datetime:
    """Read the clock: only here, at the edge."""
    return datetime.now(UTC)


def console() -> Any:
    """Return the console for tables: as wide as they need, unless it is a terminal.

    Text in tables is printed literally: ``[columns]`` or a product's name is not markup.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)


def moment(text: str | None) -> datetime | None:
    """Read a date in the shop's zone."""
    from features.storage.warehouse import Warehouse
    from features.window import parse_cutoff

    return None if text is None else parse_cutoff(text, Warehouse(home()).settings.timezone)
