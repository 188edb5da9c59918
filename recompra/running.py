"""Long-running commands: serve, and the demo, which runs every step."""

from typing import Annotated

import typer

from recompra.data import ingest
from recompra.edge import home, now
from recompra.learning import train
from recompra.scoring import score

Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is every one of this machine.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Processes that answer.")]
DEMO = (
    ("/recommend", '{"customer_id": "1", "list": "for_you", "k": 5}'),
    ("/customer", '{"customer_id": "1"}'),
    ("/retention_targets", '{"budget": 50, "limit": 3}'),
)


def serve(host: Host = "127.0.0.1", port: Port = 3000, *, workers: Workers = 1) -> None:
    """Start the service and the watcher beside it."""
    from serving.run import serve as run
    from serving.watching.logs import set_up

    set_up()
    raise typer.Exit(run(home(), host=host, port=port, workers=workers))


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


def _demo_key() -> str:
    """Return the demo's key, created once and stored in a file that only its owner can read."""
    from serving.entrance.keys import create
    from serving.store import Store

    path = home() / "demo.key"
    if not path.is_file():
        store = Store.open(home())
        path.touch(mode=0o600)
        path.write_text(create(store, ["storefront", "crm"], name="demo", now=now()), encoding="utf-8")
        store.close()
    return path.read_text(encoding="utf-8")
