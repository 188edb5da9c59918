"""The registered model, on a shop whose mails move the spenders and nobody else."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.campaign import tables
from worlds.orders import make_shop

from features.errors import ArtefactError, CannotLearn, NotFound
from features.shop import Shop
from models.uplift import Uplift, UpliftConfig
from training.evaluate import evaluate
from training.measures.holdout import Holdout

CUTOFF = datetime(2024, 7, 8, tzinfo=UTC)
QUICK = UpliftConfig(n_trees=20, n_repeats=1, n_folds=3, learning_rate=0.2)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("mails"), **tables())


@pytest.fixture(scope="module")
def model(shop: Shop) -> Uplift:
    return Uplift.fit(shop, CUTOFF, config=QUICK)


@pytest.fixture(scope="module")
def said(shop: Shop, model: Uplift) -> pd.DataFrame:
    return model.predict(shop, CUTOFF)


def spenders(frame: pd.DataFrame) -> np.ndarray:
    return frame.index.str[1:].astype(int).to_numpy() % 2 == 0


def test_the_spenders_are_known_to_be_moved_and_the_others_not(said: pd.DataFrame) -> None:
    truth = 0.75 * 0.4  # of those who would not order anyway
    who = spenders(said)
    assert said["effect"][who].mean() == pytest.approx(truth, abs=0.08)
    assert said["effect"][~who].mean() == pytest.approx(0.0, abs=0.08)
    assert ((said["effect_low"] <= said["effect"]) & (said["effect"] <= said["effect_high"])).all()


def test_contacts_that_were_certain_are_left_out_where_others_were_left_to_chance(
    tmp_path: Path, model: Uplift
) -> None:
    mails = tables()
    sure = mails["contacts"].assign(treated=True, propensity=1.0)
    sure["contact_id"] = [f"sure{row}" for row in range(len(sure))]
    mails["contacts"] = pd.concat([mails["contacts"], sure], ignore_index=True)
    found = Uplift.fit(make_shop(tmp_path, **mails), CUTOFF, config=QUICK)
    assert found.arms["win_back"].facts["effect"] == model.arms["win_back"].facts["effect"]


def test_it_says_what_it_found(model: Uplift) -> None:
    facts = model.arms["win_back"].facts
    assert facts["verdict"].startswith("contact by ")
    assert facts["effect"][1] > 0
    assert facts["n_treated"] + facts["n_control"] < 6 * 500


def test_contacts_that_it_did_not_learn_from_measure_it_beside_its_baselines(
    shop: Shop, model: Uplift
) -> None:
    found = evaluate(model, Holdout(shop, CUTOFF), predictions=pd.DataFrame()).samples
    assert set(found) == {"uplift", *Uplift.must_beat}
    assert found["uplift"]["qini contacted"].interval.low > 0
    assert found["random"]["qini contacted"].value == 0
    learnt = model.arms["win_back"].facts
    measured = len(found["uplift"]["qini contacted"].customers)
    assert measured + learnt["n_treated"] + learnt["n_control"] <= 6 * 500


def test_what_learning_found_is_a_figure_also_where_a_holdout_has_too_few_contacts(
    shop: Shop, model: Uplift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Uplift, "measure", lambda *_, **__: {})
    found = evaluate(model, Holdout(shop, CUTOFF), predictions=pd.DataFrame()).table()
    figures = found.set_index(["segment", "metric"])[["value", "low", "high"]]
    effect = model.arms["win_back"].facts["effect"]
    assert figures.loc[("win_back", "learnt_effect")].tolist() == list(effect)
    assert figures.loc[("win_back", "learnt_qini"), "low"] > 0


def test_what_is_saved_is_what_is_loaded(
    shop: Shop, model: Uplift, said: pd.DataFrame, tmp_path: Path
) -> None:
    model.save(tmp_path)
    loaded = Uplift.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(shop, CUTOFF), said, check_exact=True)
    assert loaded.arms["win_back"].facts == model.arms["win_back"].facts


def test_an_artefact_of_other_features_is_refused(model: Uplift, tmp_path: Path) -> None:
    model.save(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"customer_features": "0ld0ld00"}))
    with pytest.raises(ArtefactError, match="was trained on customer features 0ld0ld00"):
        Uplift.load(tmp_path)


def test_one_row_equals_its_batch_row_whatever_the_order_of_columns(
    shop: Shop, model: Uplift, said: pd.DataFrame
) -> None:
    features = shop.customer_features(CUTOFF).iloc[[7], ::-1]
    pd.testing.assert_frame_equal(model.effect(features), said.loc[features.index], check_exact=True)


def test_an_action_that_was_not_learnt_is_named_with_those_that_were(shop: Shop, model: Uplift) -> None:
    with pytest.raises(NotFound, match="no effect of 'birthday' was learnt, only of win_back"):
        model.effect(shop.customer_features(CUTOFF), "birthday")
    assert (model.knows("win_back"), model.knows("birthday")) == (True, False)


def test_actions_too_rare_for_themselves_are_learnt_as_one(tmp_path: Path) -> None:
    world = tables(60, seed=1)
    mails = world["contacts"]
    rare = [f"mail {number // 40}" for number in range(len(mails))]
    model = Uplift.fit(
        make_shop(tmp_path, world["lines"], contacts=mails.assign(action=rare)), CUTOFF, config=QUICK
    )
    assert list(model.arms) == ["every action"]
    assert model.knows("birthday")


def test_corrupting_what_came_after_changes_nothing(shop: Shop, said: pd.DataFrame, tmp_path: Path) -> None:
    world = tables()
    after = world["lines"]["ordered_at"] >= CUTOFF.replace(tzinfo=None)
    lines = world["lines"].drop(index=world["lines"].index[after])
    later = world["contacts"]["sent_at"] >= CUTOFF.replace(tzinfo=None)
    corrupted = make_shop(tmp_path, lines, contacts=world["contacts"][~later])
    again = Uplift.fit(corrupted, CUTOFF, config=QUICK).predict(corrupted, CUTOFF)
    pd.testing.assert_frame_equal(again, said, check_exact=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, "there are no contacts to learn from"),
        ({"treated": True}, "nobody was held out, so the effect of a contact cannot be separated"),
        ({"propensity": np.nan}, "contacts have no propensity"),
        ({"propensity": 1.0}, "no overlap"),
        ({"sent_at": pd.Timestamp("2024-07-20")}, "no contact is 28 days old"),
    ],
)
def test_contacts_that_teach_nothing_are_refused_in_words(change, words, tmp_path: Path) -> None:
    world = tables(40)
    contacts = {} if change is None else {"contacts": world["contacts"].assign(**change)}
    with pytest.raises(CannotLearn, match=words):
        Uplift.fit(make_shop(tmp_path, world["lines"], **contacts), CUTOFF, config=QUICK)
