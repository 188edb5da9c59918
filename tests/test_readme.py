"""The README is the product's face: what it names must exist, what it counts must be so."""

import re
from pathlib import Path

import pytest

from features.adapters import names
from features.customer import CUSTOMER_FEATURES
from models.registry import MODELS, model_class
from serving.endpoints import BY_PATH
from serving.entrance.access import OPEN

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = {row.split("|")[1].strip(): row for row in README.splitlines() if row.startswith("| ")}


def test_it_is_short_enough_to_read():
    assert 100 <= len(README.splitlines()) <= 150


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_row_with_question_and_file(name):
    assert name in ROWS, f"the README's table of models has no row of {name}"
    assert model_class(name).question in ROWS[name]
    assert f"(models/{name}.py)" in ROWS[name]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "tests/benchmarks/MEASUREMENTS.md"])
def test_every_link_leads_to_a_file(page):
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets and all((ROOT / page).parent.joinpath(target).exists() for target in targets)


def test_every_record_of_what_was_measured_is_of_a_decision():
    decided, measured = (
        re.findall(r"^\*\*(.+?\.)\*\*", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        for page in ("CONTRIBUTING.md", "tests/benchmarks/MEASUREMENTS.md")
    )
    assert measured and measured == [title for title in decided if title in measured]


def test_the_number_of_features_is_the_catalogues():
    n = len(CUSTOMER_FEATURES.names)
    assert f"lists all {n}" in README, f"there are {n} features, and the README says otherwise"


def test_every_make_target_named_exists():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make (\w+)`|^\$ make (\w+)", README, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }


def test_every_command_named_answers_its_help():
    from typer.main import get_command

    from recompra import app

    known = get_command(app).commands
    for words in re.findall(r"`recompra ([a-z ]+?)(?: -| [A-Zm]|`)", README):
        command, *rest = words.split()
        assert command in known
        assert not rest or rest[0] in getattr(known[command], "commands", rest)


def test_every_path_asked_is_an_endpoint():
    asked = re.findall(r"^ask (/\w+) '(.*)'$", README, re.MULTILINE)
    assert len(asked) == 3
    for path, body in asked:
        BY_PATH[path].request.model_validate_json(body)


def test_the_paths_that_need_no_key_are_named():
    (said,) = re.findall(r"([^;]+) need no key, everything else does", README)
    assert tuple(re.findall(r"`(/\w+)`", said)) == OPEN


def test_every_adapter_named_is_there():
    listed = re.search(r"Adapters, for known files: ([^.]+)\.", README)
    assert listed and set(re.findall(r"`(\w+)`", listed[1])) <= set(names())


def test_the_settings_shown_are_read(tmp_path):
    from features.settings import Settings

    shown = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert shown
    (tmp_path / "recompra.toml").write_text(shown[1], encoding="utf-8")
    assert Settings.load(tmp_path).tables["order_lines"].columns["customer_id"] == "cliente"
