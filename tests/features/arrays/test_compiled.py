"""Read-only folders are told by hand: root, who runs these tests in containers, may write anywhere."""

import os
from pathlib import Path

import pytest

from features.arrays.compiled import cache_folder


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


def test_machine_code_lies_beside_the_source_where_it_may(tmp_path: Path) -> None:
    assert cache_folder(tmp_path) == {}


def test_in_a_read_only_installation_machine_code_goes_to_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cache_folder(tmp_path) == {"NUMBA_CACHE_DIR": str(tmp_path / "compiled")}


def test_a_folder_already_chosen_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    assert cache_folder(tmp_path) == {}
