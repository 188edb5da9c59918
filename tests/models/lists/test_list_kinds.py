from typing import get_args

from features.settings import ListName
from models.lists.list_kinds import LISTS, PERSONAL


def test_every_list_that_can_be_asked_for_has_its_line() -> None:
    assert tuple(LISTS) == get_args(ListName)
    assert PERSONAL == ("for_you", "buy_again", "new_for_you")
