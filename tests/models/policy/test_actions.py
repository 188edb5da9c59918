import pytest
from pydantic import ValidationError

from features.errors import SettingsError
from features.settings import Economics, Settings
from models.policy.actions import CATALOGUE, NAMES, Action, catalogue


def test_the_catalogue_holds_every_action_but_the_plain_offer() -> None:
    assert {action.name for action in CATALOGUE} == set(NAMES) - {"offer"}


def test_a_shop_changes_one_field_and_keeps_the_rest(tmp_path) -> None:
    (tmp_path / "recompra.toml").write_text("[actions.birthday]\ndiscount_share = 0.2\n")
    changed = catalogue(Settings.load(tmp_path).actions)
    before, after = (
        next(action for action in actions if action.name == "birthday") for actions in (CATALOGUE, changed)
    )
    assert after == before.model_copy(update={"discount_share": 0.2})


def test_a_disabled_action_is_not_considered() -> None:
    assert "survey" not in {action.name for action in catalogue({"survey": {"enabled": False}})}


def test_a_shop_that_switched_off_every_action_is_told_so() -> None:
    with pytest.raises(SettingsError, match="every action is disabled"):
        catalogue({action.name: {"enabled": False} for action in CATALOGUE})


def test_an_unknown_action_is_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"actions\.winback.*win_back"):
        catalogue({"winback": {"cost": 1.0}})


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"actions\.survey\.price.*discount_share"):
        catalogue({"survey": {"price": 1.0}})


def test_an_action_keeps_its_name() -> None:
    with pytest.raises(
        SettingsError, match=r"actions\.survey\.name: an action keeps its name.*discount_share"
    ):
        catalogue({"survey": {"name": "poll"}})


def test_a_window_that_closes_before_it_opens_is_refused() -> None:
    with pytest.raises(ValidationError, match="from_days"):
        Action(name="survey", from_days=5, until_days=4)


def test_a_window_may_be_of_one_day() -> None:
    assert Action(name="birthday", after="birthday", from_days=0, until_days=0).until_days == 0


def test_no_default_repeats_a_discount_or_what_follows_an_event_within_two_weeks() -> None:
    follows = [action for action in CATALOGUE if action.discount_share or action.after]
    assert follows and all(action.cooldown_days >= 14 for action in follows)


def test_by_default_those_at_risk_are_won_back_and_the_best_rewarded() -> None:
    known = {action.name: action for action in CATALOGUE}
    assert 0 < known["win_back"].least_risk < known["win_back_discount"].least_risk
    assert known["loyalty_reward"].best_share < 1 < known["loyalty_reward"].least_orders


def test_an_effect_is_the_actions_own_else_the_shops() -> None:
    economics = Economics(offer_lift=0.3, save_rate=0.07)
    with_product, without = Action(name="cross_sell", goods="new"), Action(name="win_back")
    assert [action.assumed_effect(economics) for action in (with_product, without)] == [0.3, 0.07]
    assert [Action(name="survey", effect=own).assumed_effect(economics) for own in (0.01, 0.0)] == [0.01, 0.0]
