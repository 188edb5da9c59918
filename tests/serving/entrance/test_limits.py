from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from serving.entrance.keys import Key
from serving.entrance.limits import Limits

MADE = datetime(2024, 1, 1, tzinfo=UTC)


def key(per_second: float | None, key_id: str = "k") -> Key:
    return Key(key_id, "", frozenset({"storefront"}), b"", MADE, None, per_second)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=300), st.floats(0.5, 50))
def test_no_more_pass_than_the_rate_and_one_burst_allow(gaps: list[float], rate: float) -> None:
    limits, now, passed = Limits(), 0.0, 0
    for gap in gaps:
        now += gap
        passed += limits.wait(key(rate), now) == 0
    assert passed <= rate * now + max(rate, 1.0) + 1e-6


def test_one_who_waits_as_long_as_told_passes() -> None:
    limits = Limits()
    assert limits.wait(key(1.0), 0.0) == 0
    seconds = limits.wait(key(1.0), 0.25)
    assert seconds == 0.75
    assert limits.wait(key(1.0), 0.25 + seconds) == 0


def test_less_than_one_a_second_is_one_now_and_one_later() -> None:
    limits = Limits()
    assert [limits.wait(key(0.5), now) for now in (0.0, 0.0, 2.0, 100.0, 100.0)] == [0, 2.0, 0, 0, 2.0]


def test_silence_saves_up_one_burst_and_no_more() -> None:
    limits = Limits()
    assert limits.wait(key(10.0), 0.0) == 0
    assert sum(limits.wait(key(10.0), 3600.0) == 0 for _ in range(50)) == 10


def test_each_of_two_workers_gives_half() -> None:
    limits = Limits(n_workers=2)
    assert sum(limits.wait(key(10.0), 0.0) == 0 for _ in range(20)) == 5


def test_a_key_without_a_rate_never_waits() -> None:
    limits = Limits()
    assert all(limits.wait(key(None), 0.0) == 0 for _ in range(1000))


def test_what_one_key_takes_is_not_taken_from_another() -> None:
    limits = Limits()
    assert limits.wait(key(1.0), 0.0) == 0 < limits.wait(key(1.0), 0.0)
    assert limits.wait(key(1.0, "another"), 0.0) == 0
