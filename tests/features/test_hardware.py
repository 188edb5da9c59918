import pytest

from features.errors import SettingsError
from features.hardware import threads


def test_so_many_threads_are_used_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPRA_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("RECOMPRA_THREADS", "0")
    assert threads() >= 1


@pytest.mark.parametrize("told", ["many", "-1", "1.5"])
def test_a_number_of_threads_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("RECOMPRA_THREADS", told)
    with pytest.raises(SettingsError, match="RECOMPRA_THREADS is"):
        threads()
