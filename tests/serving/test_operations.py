"""What serving/operations names exists: metrics and labels, variables, commands, paths, ports."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from worlds.snapshot import NOW
from worlds.visits import visitor

from serving.api import OfferRequest
from serving.endpoints import BY_PATH
from serving.entrance import keys
from serving.online.tables import METADATA
from serving.persons.rights import forget
from serving.run import GRACE_SECONDS, environment
from serving.store import Store
from serving.storefront.offers import next_best_offer
from serving.watching.watcher_status import WatcherStatus
from training.ledger import Ledger

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "serving" / "operations"
NOTES = (FOLDER / "README.md").read_text(encoding="utf-8")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir() if path.is_file()}
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("features", "models", "recompra", "serving", "training")
    for path in sorted((ROOT / folder).rglob("*.py"))
)
PROBES = {"/livez", "/healthz", "/readyz", "/metrics", "/openapi.json"}
WATCHED = """request_seconds_bucket list_seconds_bucket requests_total lists_total offers_total
offer_refusals_total model_version scoring_as_of_seconds scoring_swaps scoring_refused
store_down registry_down event_lag_seconds feature_psi"""
SUFFIX = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What /metrics shows of a service that was asked everything once: labels, by name."""
    client, worker = visitor(tmp_path_factory.mktemp("home"))
    client.ask("/recommend", {"customer_id": "c000001"})
    offer = next_best_offer(worker.serving(), OfferRequest(customer_id="c000001"), now=NOW)
    offer.ruled_out = [{"rule": "stock"}]
    worker.count_offer(offer)
    WatcherStatus(psi={"n_orders": 0.1}).write(worker.home, NOW)
    text = client.get("/metrics").text
    worker.close()
    found: dict[str, set[str]] = {"up": {"job", "instance"}}
    for family in text_string_to_metric_families(text):
        for suffix in SUFFIX[family.type]:
            labels = {name for sample in family.samples for name in sample.labels}
            found[family.name + suffix] = labels | {"job", "instance"}
    return found


def test_a_second_service_on_a_home_leaves_the_first_ones_metrics(tmp_path: Path) -> None:
    first, second = (environment(tmp_path, workers=1, port=port)["BENTOML_HOME"] for port in (3000, 3001))
    assert first != second
    assert Path(first).parent == Path(second).parent == tmp_path / "bentoml"


def test_a_store_moves_to_postgresql_as_the_notes_say(
    postgres_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path))
    monkeypatch.delenv("RECOMPRA_STORE_URL", raising=False)
    old = Store.open(tmp_path)
    keys.create(old, ["crm"], now=NOW)
    forget(old, "ann", now=NOW)
    Ledger(tmp_path).succeed("churn", 1, now=NOW, reason="first")
    monkeypatch.setenv("RECOMPRA_STORE_URL", postgres_server.format(database="postgres"))
    new = Store.open(tmp_path)
    assert Ledger(tmp_path).history() == []
    said: dict[str, Any] = {}
    exec("".join(re.findall(r"```python\n(.*?)```", NOTES, re.DOTALL)), said)
    for table in METADATA.sorted_tables:
        assert new.everything(table) == old.everything(table), table.name
    Ledger(tmp_path).succeed("churn", 2, now=NOW, reason="better")
    assert [entry.version for entry in Ledger(tmp_path).history()] == [1, 2]
    for engine in (old.engine, new.engine, said["old"], said["new"]):
        engine.dispose()


def expressions() -> list[str]:
    board, rules = json.loads(TEXTS["grafana.json"]), yaml.safe_load(TEXTS["alerts.yaml"])
    panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return panels + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def test_every_query_names_metrics_and_labels_that_are_exposed(exposed: dict[str, set[str]]) -> None:
    for query in expressions():
        names = set(re.findall(r"\b(?:recompra_\w+|up\b)", query))
        assert names and names <= {*exposed}, query
        labels = {
            label.strip() for grouped in re.findall(r"by \(([^)]*)\)", query) for label in grouped.split(",")
        }
        labels |= set(re.findall(r"[{,]\s*(\w+)\s*[=!]", query))
        assert labels <= set.union(*(exposed[name] for name in names)), query


def test_what_must_be_watched_is_on_the_dashboard() -> None:
    board = json.loads(TEXTS["grafana.json"])
    shown = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    assert {name for name in WATCHED.split() if f"recompra_{name}" not in shown} == set()


def manifests() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(TEXTS["kubernetes.yaml"])]


def test_probes_ask_open_paths_and_a_stop_is_drained_first() -> None:
    deployment = next(made for made in manifests() if made["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    asked = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert asked == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    waits = 3 * GRACE_SECONDS  # for the watcher, the service, and the port
    assert pod["terminationGracePeriodSeconds"] >= drain + waits
    assert f"TimeoutStopSec={waits + 5}" in TEXTS["recompra.service"]


def test_every_variable_named_is_read_by_the_code() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"\b(?:RECOMPRA|OTEL)_[A-Z_]+", text)}
    assert {"RECOMPRA_HOME", "RECOMPRA_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= named
    assert {name for name in named if name not in CODE} == set()


def test_every_command_and_option_named_exists() -> None:
    from typer.main import get_command

    from recompra import app

    told = [line for text in (NOTES, TEXTS["alerts.yaml"], TEXTS["nginx.conf"]) for line in text.splitlines()]
    told += [line for name, text in TEXTS.items() if name.endswith(".service") for line in text.splitlines()]
    asked = [
        words for line in told for words in re.findall(r"\brecompra ((?:[a-z]+ ?)+(?:[^`|;#\n]*))", line)
    ]
    known: Any = get_command(app)
    found = 0
    for words in asked:
        command, parts = known, words.split()
        while parts and parts[0] in getattr(command, "commands", {}):
            command = command.commands[parts.pop(0)]
        if command is known:
            continue
        found += 1
        options = {name for parameter in command.params for name in parameter.opts}
        given = {part.split("=")[0] for part in parts if part.startswith("--")}
        assert given <= options, words
    assert found >= 12


def test_every_path_of_the_service_named_exists() -> None:
    named = set(re.findall(r"(?<![\w./])/(?:livez|readyz|metrics|openapi\.json|[a-z_]+)(?=[`'\" ])", NOTES))
    ours = {
        path for path in named if not Path(path).exists() and not path.startswith(("/var", "/etc", "/opt"))
    }
    assert "/readyz" in ours
    assert ours <= PROBES | {*BY_PATH} | {"/data"}


def test_the_port_is_the_same_everywhere() -> None:
    assert set(
        re.findall(r"(?:127\.0\.0\.1:|--port[ \",]+|containerPort: |EXPOSE )(\d+)", "\n".join(TEXTS.values()))
    ) == {"3000"}


def test_the_image_holds_every_package() -> None:
    copied = set(re.findall(r"^COPY (\S+)", TEXTS["Dockerfile"], re.MULTILINE))
    assert copied == {"requirements.lock", "features", "models", "recompra", "training", "serving"}


def test_the_notes_are_short_and_their_links_lead_somewhere() -> None:
    assert len(NOTES.splitlines()) <= 150
    for target in re.findall(r"\]\(([^)#:]+)\)", NOTES):
        assert (FOLDER / target).exists(), target
    assert {name for name in TEXTS if name != "README.md" and name not in NOTES} == set()


def test_no_two_alerts_have_one_name() -> None:
    groups = yaml.safe_load(TEXTS["alerts.yaml"])["groups"]
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    assert sorted(set(names)) == sorted(names)
