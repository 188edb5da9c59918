import pytest

from features.words import counted
from serving.marketing.plan_file import Written


@pytest.mark.parametrize(("n", "words"), [(0, "0 orders"), (1, "1 order"), (2400, "2,400 orders")])
def test_one_of_a_kind_is_singular(n: int, words: str) -> None:
    assert counted(n, "order") == words


def test_a_plan_of_one_contact_says_so() -> None:
    told = str(Written(1, 1, 0.1, 2.0, "EUR", 28, experiment=None, switched_off=None))
    assert told.startswith("1 contact to 1 customer, 0.10 EUR spent") and told.endswith(
        "within 28 days of each"
    )
