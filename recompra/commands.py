"""Every command by its name, in the order of ``recompra --help``."""

import os
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from recompra.data import erase, export, features, ingest
from recompra.edge import home
from recompra.keys import create_key, list_keys, revoke_key
from recompra.learning import backtest, experiment, outcomes, train
from recompra.registry import compare, history, list_models, promote, rollback
from recompra.running import demo, serve
from recompra.scoring import demand, plan, report, score

Commands = Mapping[str, Callable[..., None]]
COMMANDS: Commands = {
    "ingest": ingest, "train": train, "backtest": backtest, "experiment": experiment, "outcomes": outcomes,
    "score": score, "plan": plan, "report": report, "demand": demand, "serve": serve, "demo": demo,
    "features": features, "erase": erase, "export": export,
}  # fmt: skip
MODELS: Commands = {
    "list": list_models, "compare": compare, "promote": promote, "rollback": rollback, "history": history,
}  # fmt: skip
KEYS: Commands = {"create": create_key, "list": list_keys, "revoke": revoke_key}


def _group(help_: str, commands: Commands) -> typer.Typer:
    group = typer.Typer(
        help=help_, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
    )
    for name, command in commands.items():
        group.command(name)(command)
    return group


app = _group("What each customer will buy next, who is leaving, what they are worth.", COMMANDS)
app.add_typer(
    _group("Trained models: their versions, which of them serve, and the way back.", MODELS), name="models"
)
app.add_typer(_group("Keys to the service, which answers nobody without one.", KEYS), name="keys")


@app.callback()
def _root(debug: Annotated[bool, typer.Option(help="Show the trace of an error.")] = False) -> None:
    """Handle the options that precede a command, and choose the folder for machine code."""
    from features.arrays.compiled import cache_folder

    os.environ.update(cache_folder(home()))
