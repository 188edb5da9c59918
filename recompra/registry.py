"""The registry from the command line: versions, champions, rollback."""

from typing import Annotated

import typer

from recompra.edge import console, home, moment, now

Name = Annotated[str, typer.Argument(help="A model, as `recompra models list` names it.")]
Reason = Annotated[str, typer.Option(help="Why, in your words: it is kept in the history.")]


def list_models() -> None:
    """Show every model: what it answers, its champion and challenger."""
    from training.registry_tables import models

    console().print(models(home()))


def compare(
    name: Name, versions: Annotated[list[int] | None, typer.Argument(help="Their numbers, as 1 2.")] = None
) -> None:
    """Show the figures of versions side by side; by default the champion's and the challenger's."""
    from training.registry_tables import comparison

    console().print(comparison(home(), name, numbers=versions or []))


def promote(
    name: Name, version: Annotated[int, typer.Argument(help="Its number, as 3.")], *, reason: Reason = ""
) -> None:
    """Make a version the champion."""
    from training.tracking import Tracking

    tracking = Tracking.existing(home())
    before = tracking.champion(name)
    promoted = tracking.promote(name, version, now=now(), reason=reason or "by hand")
    typer.echo(f"{promoted} is champion{' already' if before == promoted else ''}")


def rollback(name: Name, reason: Reason = "") -> None:
    """Put back the version that the champion replaced."""
    from training.tracking import Tracking

    restored = Tracking.existing(home()).rollback(name, now=now(), reason=reason)
    typer.echo(f"{restored} is champion again")


def history(
    name: Annotated[str | None, typer.Argument(help="A model; by default all.")] = None,
    at: Annotated[str | None, typer.Option(help="'YYYY-MM-DD HH:MM' in the shop's zone: only then.")] = None,
) -> None:
    """Show which version was champion from when to when, and why; at a moment, also what answered."""
    from serving.scoring.kept import served
    from training.registry_tables import history as board

    then = moment(at)
    console().print(board(home(), name, at=then))
    if then is not None:
        typer.echo(served(home(), then))
