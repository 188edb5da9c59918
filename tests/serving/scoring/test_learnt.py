"""An effect learnt from an experiment takes the assumed one's place in what a scoring knows."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from worlds.campaign import tables
from worlds.fakes import FakeChurn, FakeConfig, FakeValue
from worlds.orders import make_shop

from models.decisions.known import Known
from models.next_best_offer import NextBestOffer, OfferConfig
from models.uplift import Uplift, UpliftConfig
from serving.persons.rights import Forgotten
from serving.scoring.build import Build
from serving.scoring.folder import load, write

CUTOFF = datetime(2024, 7, 8, tzinfo=UTC)
QUICK = UpliftConfig(n_trees=20, n_repeats=1, n_folds=3, learning_rate=0.2)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder: Path = tmp_path_factory.mktemp("learnt")
    shop = make_shop(folder, **tables())
    models = {
        "uplift": Uplift.fit(shop, CUTOFF, config=QUICK),
        "next_best_offer": NextBestOffer.fit(shop, CUTOFF, config=OfferConfig()),
        "churn": FakeChurn(FakeConfig(), CUTOFF),
        "ltv": FakeValue(FakeConfig(), CUTOFF),
    }
    return Build(shop, CUTOFF, models, dict.fromkeys(models, "1"), Forgotten.of(folder))


def test_the_effect_of_the_action_that_was_tried_is_known_for_everyone(build: Build) -> None:
    known = build.known()
    assert known is not None and set(known.learnt) == {"win_back"}
    assert known.learnt["win_back"].shape == (len(build.names),)
    spends = np.array([int(name[1:]) % 2 == 0 for name in build.names])
    effect = known.learnt["win_back"]
    assert effect[spends].mean() > effect[~spends].mean() + 0.1


def test_what_was_learnt_is_read_back_as_it_was_written(build: Build, tmp_path: Path) -> None:
    known = build.known()
    assert known is not None
    known.save(tmp_path)
    back = Known.load(tmp_path).learnt
    assert set(back) == set(known.learnt)
    np.testing.assert_array_equal(back["win_back"], known.learnt["win_back"])


def test_its_average_is_known_with_its_interval_and_read_back(build: Build, tmp_path: Path) -> None:
    average = build.average_of_keeping()
    assert average is not None and average[0] > 0
    assert average[1] < average[0] < average[2]
    write(tmp_path / "one", replace(build.snapshot(), stamp="one"))
    assert load(tmp_path / "one").average_of_keeping == average


def test_what_was_not_tried_stays_assumed(build: Build) -> None:
    known = build.known()
    assert known is not None and "thank_you" not in known.learnt


def test_whom_to_keep_is_ranked_by_the_learnt_effect(build: Build) -> None:
    known = build.known()
    assert known is not None
    np.testing.assert_array_equal(build.effect_of_keeping()["contact_effect"], known.learnt["win_back"])
