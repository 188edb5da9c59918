import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from features import hardware
from features.errors import SettingsError
from features.hardware import side_by_side, threads


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


@pytest.mark.parametrize(("limit", "most"), [("1000000000\n", 500), ("max\n", 4_000), ("9e9", 4_000)])
def test_a_database_uses_at_most_half_of_a_containers_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, most: int
) -> None:
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(hardware, "CONTAINER_LIMIT", tmp_path / "memory.max")
    assert hardware.memory_mb() <= most
    assert (hardware.memory_mb() == 500) == (most == 500)


@pytest.mark.parametrize("told", ["1", "3"])
def test_work_done_side_by_side_comes_in_order(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("RECOMPRA_THREADS", told)
    assert list(side_by_side(lambda piece: piece**2, range(50))) == [piece**2 for piece in range(50)]
    assert list(side_by_side(str, [])) == []


def test_as_many_pieces_are_at_work_as_there_are_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPRA_THREADS", "2")
    together = threading.Barrier(2, timeout=10)  # breaks where a piece is left alone
    assert len(list(side_by_side(lambda _: together.wait(), range(6)))) == 6


def test_pieces_are_taken_only_when_they_are_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPRA_THREADS", "2")
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            taken.append(piece)
            yield piece

    done = side_by_side(lambda piece: piece, pieces())
    assert next(done) == 0
    assert len(taken) <= 4


@pytest.mark.parametrize("told", ["1", "2"])
def test_an_error_of_a_piece_comes_where_its_result_would(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("RECOMPRA_THREADS", told)
    done = side_by_side(lambda piece: 6 // piece, [3, 2, 0, 1])
    assert [next(done), next(done)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(done)
