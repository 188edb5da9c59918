"""``recompra experiment`` on files as people have them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.campaign import campaign

from features.errors import CannotLearn, InputError, RecompraError
from models.trials.learners import LearnerConfig
from training.contacts.contact_table import read_table
from training.contacts.experiment import Experiment, experiment

QUICK = LearnerConfig(n_trees=10, n_repeats=1, n_folds=3, learning_rate=0.2)


def run(folder: Path, frame: pd.DataFrame, **options: object) -> Experiment:
    file = folder / "contacts.csv"
    frame.to_csv(file, index=False)
    return experiment(file, **{"treated": "treated", "outcome": "bought", "config": QUICK, **options})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return run(tmp_path_factory.mktemp("campaign"), campaign(2000))


def test_the_report_holds_effect_policies_choice_and_verdict(found: Experiment, tmp_path: Path) -> None:
    found.write(tmp_path)
    facts = json.loads((tmp_path / "experiment.json").read_text(encoding="utf-8"))
    assert facts["interval"][0] < facts["effect"] < facts["interval"][1]
    assert facts["effect"] == pytest.approx(0.15, abs=0.05)
    best = facts["policies"][facts["chosen"]]
    assert best["auuc_interval"][0] < best["auuc"] < best["auuc_interval"][1]
    assert best["qini"] == max(policy["qini"] for policy in facts["policies"].values())
    assert facts["chosen_qini"]["interval"][0] > 0
    assert facts["verdict"].startswith("contact by ")
    assert {"risk", "random", "response", "s_learner", "t_learner", "x_learner"} <= set(facts["policies"])


def test_every_row_has_a_score_of_every_policy(found: Experiment, tmp_path: Path) -> None:
    found.write(tmp_path)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert scores["row"].tolist() == list(range(2000))
    assert set(scores) == {"row", "chosen", *found.arms[0].choice.policies}
    assert np.isfinite(scores.to_numpy(float)).all()


def test_a_column_measured_after_the_contact_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    world = campaign(1500).assign(clicks=lambda t: t["treated"] * 3, id=range(1500), shop="a")
    world["paid"] = world["bought"] * (np.arange(1500) % 3 == 0) * 9.5
    left_out = run(tmp_path, world).arms[0].left_out
    assert set(left_out) == {"clicks", "id", "shop", "paid"}
    assert "whoever has it had the outcome" in left_out["paid"]
    assert "measured after the contact" in left_out["clicks"]


def test_a_targeted_contact_with_its_propensities_is_read_like_a_random_one(tmp_path: Path) -> None:
    world = campaign(8_000, seed=3)
    chance = np.where(world["asks"] == 1, 0.8, 0.3)
    kept = np.random.default_rng(0).random(len(world)) < np.where(world["treated"] == 1, chance, 1 - chance)
    biased = world.assign(chance=chance)[kept]
    alone = run(tmp_path, biased.drop(columns="chance")).arms[0]
    assert "it chose them" in alone.left_out["asks"]
    known = run(tmp_path, biased, propensity="chance").arms[0]
    assert known.left_out == {}
    assert known.choice.trial.effect.low < 0.15 < known.choice.trial.effect.high
    assert not alone.choice.trial.effect.low < 0.15 < alone.choice.trial.effect.high
    assert known.choice.is_detectable


def test_several_arms_are_each_compared_with_the_held_out(tmp_path: Path) -> None:
    world = campaign(1500)
    mail = np.where(np.arange(1500) % 2 == 0, "letter", "call")
    world["arm"] = np.where(world["treated"] == 1, mail, "none")
    several = run(tmp_path, world.drop(columns="treated"), treated="arm")
    assert set(several.facts()["arms"]) == {"letter", "call"}
    assert set(several.scores()["arm"]) == {"letter", "call"}
    one = run(tmp_path, world.drop(columns="treated"), treated="arm=letter", control="none")
    assert one.facts()["treated"] == "letter"
    assert one.facts()["n_treated"] == (world["arm"] == "letter").sum()


def test_without_repeats_of_chance_the_same_file_gives_the_same_report(
    found: Experiment, tmp_path: Path
) -> None:
    assert run(tmp_path, campaign(2000)).facts() == found.facts()


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({}, {"treated": "contacted"}, InputError, "column 'contacted' missing; found"),
        ({}, {"outcome": "visit"}, InputError, "column 'visit' missing"),
        ({}, {"drop": ["spent"]}, InputError, "column 'spent' missing"),
        ({"treated": 1}, {}, InputError, "the control group in 'treated' is not clear"),
        ({"treated": np.linspace(0, 1, 400)}, {}, InputError, "different values"),
        ({"bought": 1}, {}, CannotLearn, "the outcome hardly varies"),
        ({"bought": "yes"}, {}, InputError, "column 'bought' is not numeric"),
        ({"treated": np.nan}, {}, InputError, "column 'treated' is empty in 400 rows"),
        ({}, {"treated": "treated=2"}, InputError, "no arm '2' in 'treated'"),
    ],
)
def test_a_file_that_cannot_be_measured_is_refused_in_words(change, options, error, words, tmp_path) -> None:
    with pytest.raises(error, match=words):
        run(tmp_path, campaign(400).assign(**change), **options)


def test_without_a_column_to_tell_customers_apart_the_effect_is_told_and_no_ranking(tmp_path: Path) -> None:
    run(tmp_path, campaign(2000)[["treated", "bought"]]).write(tmp_path)
    facts = json.loads((tmp_path / "experiment.json").read_text(encoding="utf-8"))
    assert facts["interval"][0] < 0.15 < facts["interval"][1]
    assert (facts["chosen"], facts["fallback"], set(facts["policies"])) == ("random", "random", {"random"})
    assert facts["chosen_qini"]["interval"] == [0.0, 0.0]
    assert facts["verdict"] == "no ranking can be learnt"
    assert "whom it changes more is unknown" in facts["reason"]
    assert list(pd.read_parquet(tmp_path / "scores.parquet")) == ["row", "random", "chosen"]


def test_a_row_that_came_twice_counts_once_and_is_said_to(tmp_path: Path) -> None:
    world = campaign(1500).assign(customer_id=lambda rows: [f"c{at}" for at in range(len(rows))])
    once = run(tmp_path, world).facts()
    twice = run(tmp_path, pd.concat([world, world[world["bought"] == 1]])).facts()
    assert (once["n_repeated"], twice["n_repeated"]) == (0, world["bought"].sum())
    assert {**twice, "n_repeated": 0} == once


def test_rows_of_a_customer_that_differ_are_refused_unless_each_is_to_count(tmp_path: Path) -> None:
    world = campaign(1500).assign(customer_id=lambda rows: [f"c{at}" for at in range(len(rows))])
    both = pd.concat([world, world.head(20).assign(treated=lambda rows: 1 - rows["treated"])])
    with pytest.raises(InputError, match="20 values of 'customer_id' have several rows that differ"):
        run(tmp_path, both)
    assert run(tmp_path, both, drop=["customer_id"]).arms[0].facts()["n_treated"] > 0


def test_of_a_contact_that_harms_all_the_verdict_is_nobody(tmp_path: Path) -> None:
    facts = run(tmp_path, campaign(3000, lift=-0.1, harm=0.1)).arms[0].facts()
    assert facts["interval"][1] < 0
    assert facts["verdict"] == "contact nobody"
    assert "fallback" not in facts["reason"]


def test_of_a_contact_that_harms_some_more_than_others_the_verdict_is_nobody_too(tmp_path: Path) -> None:
    facts = run(tmp_path, campaign(6000, lift=-0.02, harm=0.3)).arms[0].facts()
    assert facts["chosen_qini"]["interval"][0] > 0
    assert facts["verdict"] == "contact nobody"
    assert "among the 20% ranked first it is" in facts["reason"]


def test_of_a_contact_that_harms_most_those_are_named_whom_it_moves(tmp_path: Path) -> None:
    facts = run(tmp_path, campaign(8000, lift=0.25, harm=0.45)).arms[0].facts()
    assert facts["interval"][1] < 0
    assert facts["verdict"].startswith("contact by ")


@pytest.mark.parametrize(("n", "told"), [(600, True), (3000, False)])
def test_an_interval_that_rests_on_few_amounts_is_said_to_be_too_narrow(n, told, tmp_path: Path) -> None:
    paid = np.random.default_rng(1).lognormal(3, 1.2, n).round(2)
    world = campaign(n, share=0.8).assign(bought=lambda rows: rows["bought"] * paid)
    choice = run(tmp_path, world).arms[0].choice
    fewest = (world.loc[world["treated"] == 0, "bought"] > 0).sum()
    assert (f"a group has only {fewest} amounts" in choice.reason) == told
    assert "a group has only" not in run(tmp_path, campaign(n)).arms[0].choice.reason


def test_a_file_as_a_spreadsheet_in_half_of_europe_writes_it_is_the_same_campaign(tmp_path: Path) -> None:
    frame = campaign(400).assign(treated=lambda rows: np.where(rows["treated"] == 1, "sim", "não"))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.csv"), read_table(tmp_path / "b.csv"))
    assert [arm.name for arm in run(tmp_path, frame).arms] == ["sim"]


def test_a_comma_within_words_is_no_decimal_point(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("asks;size\n1,5;1,5 m\n2;2\n", encoding="utf-8")
    found = read_table(tmp_path / "a.csv")
    assert (found["asks"].tolist(), found["size"].tolist()) == ([1.5, 2.0], ["1,5 m", "2"])


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecompraError, match="no file"):
        experiment(tmp_path / "nowhere.csv", treated="treated", outcome="bought")
