import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds.snapshot import make_home, make_snapshot, with_known

from features.errors import ArtefactError, NotFound
from features.settings import Economics
from serving.scoring.folder import load
from serving.state import POINTER, Pointer


def folder_of(home: Path) -> Path:
    return home / "lists" / Pointer.read(home).stamp


def test_a_scoring_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = make_snapshot()
    nobody = replace(made.people, consent_recorded=False)
    shop = {"timezone": "America/Sao_Paulo", "locale": "pt", "notes": ({"code": "season"},)}
    made = make_home(tmp_path, replace(made, people=nobody, **shop))
    read = load(folder_of(tmp_path))
    plain = ("stamp", "as_of", "models", "horizon_days", "currency", "economics", "cutoff_day", "sources")
    for name in (*plain, *shop):
        assert getattr(read, name) == getattr(made, name), name
    assert not read.people.consent_recorded
    for name, ready in made.ready.items():
        for mapped, array in zip(read.ready[name], ready, strict=True):
            np.testing.assert_array_equal(mapped, array)
    for name in ("features", "scores", "retention"):
        mapped, columns = getattr(read, name), getattr(made, name)
        assert list(mapped.rows(slice(None))) == list(columns.rows(slice(None)))
    np.testing.assert_array_equal(read.popular, made.popular)
    assert read.customers.all_names() == made.customers.all_names()
    assert read.history is not None and made.history is not None
    np.testing.assert_array_equal(read.history.day, made.history.day)


def test_effects_are_learnt_only_where_those_of_all_actions_taken_are() -> None:
    made = with_known(make_snapshot())
    assert made.known is not None
    made = replace(made, known=replace(made.known, learnt={"thank_you": np.zeros(len(made.customers))}))
    asked: list[list[str]] = [["thank_you"], ["thank_you", "survey"], ["survey"], []]
    assert [made.effect_of(actions) for actions in asked] == ["learnt", "assumed", "assumed", "assumed"]


def test_an_experiment_is_proposed_from_the_risks_the_rate_assumed_and_the_share_held_out() -> None:
    made = with_known(make_snapshot(), held_out_share=0.1)
    assert (made.experiment_for("assumed") or "").endswith("10% are held out already")
    assert replace(made, economics=Economics(save_rate=0)).experiment_for("assumed") is None
    assert replace(made, horizon_days=999).experiment_for("assumed") is None  # no risk of that horizon


def test_notes_are_in_the_shops_language() -> None:
    note = {"code": "carried", "model": "churn", "horizon_days": 28, "learnt_days": 20}
    made = replace(make_snapshot(), notes=(note | {"learnt_from": "2026-04-01"},))
    assert made.notes_in(None)[0]["text"] != replace(made, locale="pt").notes_in(None)[0]["text"]


def test_a_truncated_file_is_seen_before_it_serves(tmp_path: Path) -> None:
    make_home(tmp_path)
    victim = folder_of(tmp_path) / "for_you.product.npy"
    victim.write_bytes(victim.read_bytes()[:-8])
    with pytest.raises(ArtefactError, match=r"for_you\.product\.npy has \d+ bytes"):
        load(folder_of(tmp_path))


@pytest.mark.parametrize(
    "missing", ["manifest.json", "customers.npy", "scores/columns.json", "goods/terms.json"]
)
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    make_home(tmp_path)
    (folder_of(tmp_path) / missing).unlink()
    with pytest.raises(ArtefactError, match=Path(missing).name):
        load(folder_of(tmp_path))


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("product", 60, "not in its catalogue"),  # the last is 59
        ("product", -2, "not in its catalogue"),
        ("score", np.nan, "NaN or infinite scores"),
        ("score", np.inf, "NaN or infinite scores"),
        ("source", 2, "without a name"),  # there are two
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path: Path, part: str, value: float, told: str) -> None:
    made = make_snapshot()
    broken = getattr(made.ready["for_you"], part).copy()
    broken[5, 2] = value
    ready = {**made.ready, "for_you": made.ready["for_you"]._replace(**{part: broken})}
    make_home(tmp_path, replace(made, ready=ready))
    with pytest.raises(ArtefactError, match=told):
        load(folder_of(tmp_path))


@pytest.mark.parametrize("key", ["sources", "reasons"])
def test_a_scoring_that_numbered_sources_or_reasons_otherwise_is_refused(tmp_path: Path, key: str) -> None:
    make_home(tmp_path)
    file = folder_of(tmp_path) / "manifest.json"
    card = json.loads(file.read_text())
    file.write_text(json.dumps(card | {key: card[key][1::-1]}))
    with pytest.raises(ArtefactError, match=f"numbered its {key}.*score again"):
        load(folder_of(tmp_path))


def test_a_product_named_twice_is_refused(tmp_path: Path) -> None:
    made = make_snapshot()
    product = made.ready["for_you"].product.copy()
    product[4, 1] = product[4, 0]
    ready = {**made.ready, "for_you": made.ready["for_you"]._replace(product=product)}
    make_home(tmp_path, replace(made, ready=ready))
    with pytest.raises(ArtefactError, match="twice"):
        load(folder_of(tmp_path))


@pytest.mark.parametrize("part", ["scores", "features", "people", "ready"])
def test_parts_of_different_sizes_are_refused(tmp_path: Path, part: str) -> None:
    make_home(tmp_path, replace(make_snapshot(20), **{part: getattr(make_snapshot(19), part)}))
    named = part.replace("ready", "list for_you")
    with pytest.raises(ArtefactError, match=f"has 20 customers, but {named} has 19"):
        load(folder_of(tmp_path))


def test_a_pointer_is_missing_or_broken_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="recompra score"):
        Pointer.read(tmp_path)
    (tmp_path / POINTER).write_text(json.dumps({"lists": "x"}))
    with pytest.raises(ArtefactError, match="cannot be read"):
        Pointer.read(tmp_path)


def test_ids_are_found_whatever_their_length_and_no_other_persons(tmp_path: Path) -> None:
    made = make_snapshot(20)
    assert made.customer("c000007") == 7
    assert [made.customer(name) for name in ("", "c", "c0000070", "c00000", "z" * 5000, "ü")] == [-1] * 6
