"""The command line as a user meets it; in a process of its own where time and imports matter."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from worlds import fakes
from worlds.campaign import campaign
from worlds.orders import ODD, make_home

import recompra
from recompra.running import _demo_key
from serving.entrance.keys import listed
from serving.registry import Registry
from serving.store import Store

HEAVY = {
    *(
        "bentoml",
        "duckdb",
        "ibis",
        "implicit",
        "jinja2",
        "lightgbm",
        "matplotlib",
        "mlflow",
        "msgspec",
        "numba",
    ),
    *("numpy", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "sqlalchemy"),
}
"""What no command needs before it is known which one it is."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A trained home of a small shop with fake models; every command of this module runs in it."""
    place = make_home(tmp_path_factory.mktemp("cli") / ODD, fakes.lines_with_leavers())
    with pytest.MonkeyPatch.context() as patch, fakes.in_place_of_ours():
        patch.setenv("RECOMPRA_HOME", str(place))
        yield place


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run a command; give its exit code, what it printed, and what it complained of."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recompra", *words])
        with pytest.raises(SystemExit) as ended:
            recompra.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def copied(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the home to break; commands run in it."""
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def trained(home: Path) -> str:
    """What `recompra train` prints."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(sys, "argv", ["recompra", "train"])
        with pytest.raises(SystemExit, match="0"):
            recompra.main()
    return printed.getvalue()


def seconds_of(*words: str) -> float:
    """Run Python once; return the CPU it took, whatever else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_hardly_more_than_the_libraries_that_print_it() -> None:
    bare = min(seconds_of("-c", "import typer, typer.rich_utils, rich.table, rich.panel") for _ in range(3))
    assert min(seconds_of("-m", "recompra", "--help") for _ in range(3)) < 2 * bare


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, recompra\nsys.argv = ['recompra', '--help']\ntry: recompra.main()\n"
    code += "finally: print(*sys.modules, file=sys.stderr)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    loaded = {name.partition(".")[0] for name in told.split()}
    assert "rich" in loaded
    assert not loaded & HEAVY


def test_training_prints_the_table_and_a_verdict_for_each_model(trained: str) -> None:
    assert "best baseline" in trained
    assert "auc lapsed" in trained
    assert "churn: v1 is champion: first version, " in trained


def test_the_registry_is_listed(trained, run) -> None:
    code, printed, _ = run("models", "list")
    assert code == 0
    assert "churn" in printed and "v1" in printed


def test_versions_are_compared_promoted_and_rolled_back(trained, run) -> None:
    assert run("train", "--only", "churn")[0] == 0
    assert "lapsed/auc" in run("models", "compare", "churn", "1", "2")[1]
    assert run("models", "promote", "churn", "1")[0] == 0
    assert run("models", "promote", "churn", "2", "--reason", "a test")[1] == "churn v2 is champion\n"
    assert run("models", "promote", "churn", "2")[1] == "churn v2 is champion already\n"
    assert run("models", "rollback", "churn", "--reason", "enough")[1] == "churn v1 is champion again\n"
    assert "a test" in run("models", "history", "churn")[1]


def test_the_version_of_a_moment_is_named(trained, run) -> None:
    assert "first version" in run("models", "history", "cross_sell", "--at", "2200-11-17 14:03")[1]
    assert "first version" not in run("models", "history", "cross_sell", "--at", "1999-11-17 14:03")[1]
    assert "cannot read 'Tuesday'" in run("models", "history", "--at", "Tuesday")[2]


def test_a_backtest_of_a_folder_leaves_the_home_alone(run, home, tmp_path) -> None:
    before = sorted(path.name for path in home.iterdir())
    source, out = str(home.parent / "source"), str(tmp_path / "out")
    words = ("--cutoff", "2024-06-01", "--horizon", "28", "--shop", source, "--only", "churn", "--out", out)
    code, printed, _ = run("backtest", *words)
    assert (code, "auc lapsed" in printed) == (0, True)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["horizon_days"] == 28
    assert sorted(path.name for path in home.iterdir()) == before


def test_a_backtest_reads_lines_of_after_this_clock_where_its_cutoff_asks_for_them(
    run, home, tmp_path
) -> None:
    lines = pd.read_parquet(home.parent / "source" / "order_lines.parquet")
    late = lines.head(1).assign(customer_id="late", ordered_at=pd.Timestamp("2090-01-05"))
    (tmp_path / "source").mkdir()
    pd.concat([lines, late]).to_parquet(tmp_path / "source" / "order_lines.parquet")
    where = ("--shop", str(tmp_path / "source"), "--out", str(tmp_path / "out"))
    run("backtest", "--cutoff", "2090-01-06", "--horizon", "28", "--only", "churn", *where)
    assert "late" in set(pd.read_parquet(tmp_path / "out" / "customers.parquet")["customer_id"])


def test_ingest_prints_what_became_of_every_row(run, home, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path))
    code, printed, _ = run("ingest", str(home.parent / "source"))
    assert code == 0
    assert "order_lines" in printed


def test_what_tables_hold_is_printed_as_it_is(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    (tmp_path / "[x] order_lines.csv").write_text("customer_id,ordered_at\na,2024-01-05\n")
    printed = " ".join(run("ingest", str(tmp_path / "[x] order_lines.csv"))[1].split())
    assert "[x] order_lines.csv" in printed
    assert "map it in recompra.toml under [tables.order_lines.columns]" in printed
    run("keys", "create", "--scope", "crm", "--name", "[crm] :key:")
    assert "[crm] :key:" in run("keys", "list")[1]


def test_an_action_that_does_not_exist_is_refused_before_anything_is_written(
    run, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    (tmp_path / "order_lines.csv").write_text("customer_id,ordered_at\na,2024-01-05\n")
    (tmp_path / "recompra.toml").write_text("[actions.win_bak]\nenabled = false\n")
    asked = ("backtest", "--shop", str(tmp_path), "--cutoff", "2024-01-04", "--horizon", "7", "--out")
    for words in (("ingest", str(tmp_path)), (*asked, str(tmp_path / "out"))):
        code, _, complaint = run(*words)
        assert (code, "actions.win_bak: no such action" in complaint) == (2, True)
    assert not (tmp_path / "home" / "warehouse").exists()


def test_one_of_a_kind_is_counted_in_the_singular(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    (tmp_path / "order_lines.csv").write_text("customer_id,ordered_at\na,2024-01-05\na,2024-02-05\n")
    assert "1 customer, 2 orders, 2 lines" in run("ingest", str(tmp_path))[1]


def test_the_catalogue_of_features_has_units_and_meanings(run) -> None:
    printed = run("features")[1]
    assert "days_since_last_order" in printed
    assert "From the last purchase day to the cutoff." in printed


def test_keys_are_made_listed_and_closed(run) -> None:
    key = run("keys", "create", "--scope", "storefront", "--name", "shop window")[1].strip()
    key_id = key.split("_")[1]
    assert "shop window" in run("keys", "list")[1]
    assert run("keys", "revoke", key_id) == (0, f"{key_id} is closed\n", "")


def test_a_key_made_with_a_rate_has_it(run, home) -> None:
    key_id = run("keys", "create", "--scope", "crm", "--per-second", "2.5")[1].split("_")[1]
    assert {key.key_id: key.per_second for key in listed(Store.to_read(home))}[key_id] == 2.5


def test_the_demos_key_is_made_once_opens_no_metrics_and_is_read_by_its_owner_alone(copied) -> None:
    key = _demo_key()
    assert key == _demo_key() == (copied / "demo.key").read_text(encoding="utf-8")
    assert (copied / "demo.key").stat().st_mode & 0o777 == 0o600
    scopes = {made.key_id: made.scopes for made in listed(Store.to_read(copied))}[key.split("_")[1]]
    assert scopes == {"storefront", "crm"}


def test_an_erasure_that_leaves_something_ends_in_an_error_and_has_its_certificate(run, copied) -> None:
    (copied / "notes.csv").write_text("customer_id\nc02\n", encoding="utf-8")
    code, told, _ = run("erase", "c02", "--out", str(copied / "certificate.json"))
    assert code == 2 and "notes.csv" in told
    assert json.loads((copied / "certificate.json").read_text(encoding="utf-8"))["clean"] is False


def test_a_customer_is_exported_and_forgotten(run) -> None:
    held = json.loads(run("export", "c01")[1])
    assert held["customer_id"] == "c01"
    assert run("export", " c01 ")[1] == json.dumps(held, indent=1, ensure_ascii=False) + "\n"
    assert run("erase", "c01 ")[0] == 0
    assert run("export", "c01")[0] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "--as-of", "tomorrow"), "cannot read 'tomorrow' as a date"),
        (("train", "--only", "horoscope"), "no model named 'horoscope'"),
        (("models", "promote", "horoscope", "1"), "no version 1 of horoscope. Hint: trained are churn"),
        (("models", "history", "horoscope"), "no model named 'horoscope'"),
        (("report", "--as-of", "1999-01-01"), "nothing was ordered before 1999-01-01"),
        (("report", "--as-of", "2199-01-01"), "2199-01-01 is in the future: orders until then"),
        (("report", "--out", "/proc/report.html"), "/proc/.report."),
        (("ingest", "/nowhere"), "no file or folder '/nowhere'"),
        (("keys", "revoke", "none"), "no key 'none'"),
        (("backtest", "--cutoff", "1999-01-01", "--horizon", "7", "--out", "/nowhere"), "outside the orders"),
        (("score", "--verify", "--as-of", "2024-06-01"), "leave out --as-of"),
        (("plan", "--out", "plan.parquet"), "no format 'parquet'. Hint: the formats are csv, ndjson, json"),
        (("demand", "--out", "demand.xlsx"), "demand.xlsx is neither .csv nor .parquet"),
        (("erase", " "), "the customer's id is empty"),
    ],
)
def test_an_error_is_one_clear_line_and_code_two(run, words, told) -> None:
    code, _, complaint = run(*words)
    assert code == 2
    assert told in complaint
    assert complaint.startswith("recompra: ")
    assert complaint.count("\n") == 1


def test_a_day_long_after_the_last_order_is_told_to_be_one(run, tmp_path) -> None:
    told = "the last known order is from 2024-07-"
    assert told in run("report", "--as-of", "2025-01-01", "--out", str(tmp_path / "page.html"))[1]
    assert told not in run("report", "--as-of", "2024-07-01", "--out", str(tmp_path / "page.html"))[1]


def test_a_file_where_a_folder_is_expected_is_an_error_in_words(run, tmp_path) -> None:
    (tmp_path / "out").write_text("")
    words = ("--cutoff", "2024-06-01", "--horizon", "7", "--only", "churn", "--out", str(tmp_path / "out"))
    code, _, complaint = run("backtest", *words)
    assert (code, "Invalid value for '--out'" in complaint) == (2, True)


@pytest.mark.parametrize("words", ["list", "compare churn", "promote churn 1", "rollback churn"])
def test_where_nothing_was_trained_the_registry_says_so_and_none_is_made(
    run, tmp_path, monkeypatch, words
) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    code, _, complaint = run("models", *words.split())
    assert (code, "no model has been trained in" in complaint) == (2, True)
    assert "run `recompra train` first" in complaint
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_trained_there_is_no_history_and_none_is_made(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    code, printed, _ = run("models", "history")
    assert (code, "reason" in printed) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_no_home_is_made_to_look_for_keys(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "home"))
    code, printed, _ = run("keys", "list")
    assert (code, "scopes" in printed) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_one_line_too_and_debug_shows_where(run, monkeypatch) -> None:
    monkeypatch.setattr("training.registry_tables.models", lambda _: 1 / 0)
    assert run("models", "list")[0] == 1
    monkeypatch.setattr(sys, "argv", ["recompra", "--debug", "models", "list"])
    with pytest.raises(ZeroDivisionError):
        recompra.main()


def test_who_interrupts_a_query_is_told_of_no_bug(run, monkeypatch) -> None:
    def interrupted(_: Path) -> None:
        raise RuntimeError("Query interrupted")  # as DuckDB 2.0 does

    monkeypatch.setattr("training.registry_tables.models", interrupted)
    assert run("models", "list") == (130, "", "")


@pytest.mark.parametrize(
    ("file", "command", "told"),
    [
        ("warehouse/shop.json", "train", "shop.json of the warehouse cannot be read"),
        ("warehouse/orders.parquet", "export c02", "orders of the warehouse cannot be read"),
        ("online.db", "keys list", "a database cannot be used: file is not a database"),
        ("mlflow.db", "models list", "a database cannot be used: file is not a database"),
    ],
)
def test_a_broken_file_of_the_home_is_named(run, copied, file, command, told) -> None:
    (copied / file).write_text("no such thing")
    code, _, complaint = run(*command.split())
    assert (code, told in complaint, "Hint: " in complaint) == (2, True, True), complaint


@pytest.fixture
def backup(trained: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home, champions fetched, on a disk that takes no writes, as far as one may ask."""
    Store.open(copied).close()
    Registry(copied).load()
    monkeypatch.setattr(os, "access", lambda path, _mode: not Path(path).is_relative_to(copied))
    return copied


def test_a_home_that_takes_no_writes_is_read(run, backup, tmp_path) -> None:
    before = {path: path.stat().st_mtime_ns for path in backup.rglob("*")}
    asked = ("keys list", "models list", "models history", "outcomes", "report")
    for words in asked:
        out = ("--out", str(tmp_path / words)) if " " not in words else ()
        code, _, complaint = run(*words.split(), *out)
        assert code == 0, complaint
    assert {path: path.stat().st_mtime_ns for path in backup.rglob("*")} == before


@pytest.mark.parametrize(
    "words", ["keys create --scope crm", "keys revoke none", "models promote churn 1", "erase c02"]
)
def test_a_home_that_takes_no_writes_is_not_changed_by_half(run, backup, words) -> None:
    code, _, complaint = run(*words.split())
    assert (code, complaint) == (
        2,
        f"recompra: {backup} is read-only. Hint: set RECOMPRA_HOME to a writable copy\n",
    )


def test_a_half_written_database_that_cannot_be_put_right_is_refused_in_words(run, backup) -> None:
    (backup / "online.db-wal").write_bytes(b"a write")
    (backup / "mlflow.db-journal").write_bytes(b"a write")
    for words in (("keys", "list"), ("models", "list"), ("models", "history")):
        assert "is half-written, on a read-only disk" in run(*words)[2]


def test_who_closes_the_output_hears_nothing_of_it() -> None:
    command = ["sh", "-c", 'exec "$0" -m recompra features >&-', sys.executable]
    ended = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_nobody_is_erased_from_what_is_no_home(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path))
    code, _, complaint = run("erase", "c01")
    assert (code, "is no home" in complaint) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("--port", "70000"), ("--workers", "0")])
def test_a_service_that_cannot_be_is_not_started(run, words) -> None:
    code, _, complaint = run("serve", *words)
    assert (code, f"Invalid value for '{words[0]}'" in complaint) == (2, True)


def test_without_a_warehouse_every_command_says_what_to_do(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path))
    code, _, complaint = run("train")
    assert code == 2
    assert "run `recompra ingest SOURCE` first" in complaint


def test_an_experiment_prints_its_verdict_and_writes_its_two_files(run, tmp_path) -> None:
    file = tmp_path / "mails.csv"
    campaign(400).to_csv(file, index=False)
    words = (
        "--treated",
        "treated",
        "--outcome",
        "bought",
        "--drop",
        "channel",
        "--out",
        str(tmp_path / "out"),
    )
    code, printed, _ = run("experiment", str(file), *words)
    assert code == 0
    assert "Qini on bought" in printed and "the contact changes the outcome by" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"experiment.json", "scores.parquet"}


def test_an_experiment_says_aloud_which_column_may_have_chosen_who_was_contacted(run, tmp_path) -> None:
    file, mails = tmp_path / "mails.csv", campaign(400)
    mails.assign(score=mails["treated"] + mails["spend"]).to_csv(file, index=False)
    words = ("--treated", "treated", "--outcome", "bought", "--out", str(tmp_path / "out"))
    _, printed, _ = run("experiment", str(file), *words)
    told = " ".join(printed.split())
    assert "score is not learnt from: differs between contacted and held out" in told
    assert "the reported effect is not the contact's alone: give each row's chance of contact by" in told


def test_an_experiment_without_its_column_is_one_line_of_help(run, tmp_path) -> None:
    campaign(400).to_csv(tmp_path / "mails.csv", index=False)
    words = ("--treated", "mailed", "--outcome", "bought", "--out", str(tmp_path))
    code, _, complaint = run("experiment", str(tmp_path / "mails.csv"), *words)
    assert (code, complaint.count("\n")) == (2, 1)
    assert "column 'mailed' missing; found ['asks'," in complaint


def test_a_home_that_is_a_file_is_told_so(run, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "file"))
    code, _, complaint = run("keys", "create", "--scope", "crm")
    assert (code, complaint.count("\n")) == (2, 1)
    assert f"{tmp_path / 'file'}: a file is where a folder is needed" in complaint


def test_outcomes_of_few_decisions_say_what_they_need(run, home) -> None:
    store = Store.open(home)
    decided = {"decided_at": datetime(2024, 5, 1, tzinfo=UTC), "as_of": datetime(2024, 5, 1, tzinfo=UTC)}
    rest = {"action": "offer", "product_id": "p01", "propensity": 0.9, "models": "", "expected_margin": 1.0}
    store.decide([{"decision_id": "d1", "customer_id": "c01", **decided, **rest}])
    store.close()
    code, printed, _ = run("outcomes")
    assert code == 0
    said = " ".join(printed.split())
    assert "What would have been earned? Not known yet: as it was done, nobody is contacted, offer to" in said
    assert "200 decisions with a known outcome are needed, found 1" in said
    assert json.loads((home / "outcomes.json").read_text())["actions"]["offer"]["n"] == 1


@pytest.mark.parametrize(
    "words", [("outcomes",), ("train",), ("report",), ("plan", "--out", "plan.csv"), ("export", "1")]
)
def test_a_refusal_makes_no_home(run, tmp_path, monkeypatch, words) -> None:
    monkeypatch.setenv("RECOMPRA_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    assert run(*words)[0] == 2
    assert list(tmp_path.iterdir()) == []
