"""Keys to the service: create, list, revoke."""

from typing import Annotated

import typer

from recompra.edge import console, home, now


def create_key(
    scope: Annotated[list[str], typer.Option(help="storefront, crm or admin; may be repeated.")],
    name: Annotated[str, typer.Option(help="Whose key it is.")] = "",
    *,
    per_second: Annotated[
        float | None, typer.Option(help="Requests a second, at most; by default as many as come.")
    ] = None,
) -> None:
    """Make a key and print it: it cannot be read again."""
    from serving.entrance.keys import create
    from serving.store import Store

    typer.echo(create(Store.open(home()), scope, name=name, now=now(), per_second=per_second))


def list_keys() -> None:
    """Show every key ever made, without its secret."""
    from rich.table import Table

    from serving.entrance.keys import listed
    from serving.store import Store

    table = Table("id", "name", "scopes", "made (UTC)", "revoked (UTC)")
    for key in listed(Store.to_read(home())):
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        table.add_row(
            key.key_id, key.name, ", ".join(sorted(key.scopes)), f"{key.created_at:%Y-%m-%d %H:%M}", revoked
        )
    console().print(table)


def revoke_key(key_id: Annotated[str, typer.Argument(help="As `recompra keys list` shows it.")]) -> None:
    """Close a key, at once and in every worker."""
    from serving.entrance.keys import revoke
    from serving.store import Store

    revoke(Store.open(home()), key_id, now=now())
    typer.echo(f"{key_id} is closed")
