"""Read-only folders are told by hand: root, who runs these tests in containers, may write anywhere."""

import os
import subprocess
import sys
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


def test_code_cached_with_a_class_that_has_another_name_now_is_compiled_again(tmp_path: Path) -> None:
    source = """
from typing import NamedTuple
import numpy as np
from features.arrays.compiled import compiled
class {name}(NamedTuple):
    values: np.ndarray
@compiled
def total(given):
    return given.values.sum() * {factor}
print(total({name}(np.ones(3))))
"""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = []
    for name, factor in (("Shelf", 1), ("Goods", 2)):
        (tmp_path / "sums.py").write_text(source.format(name=name, factor=factor))
        words = [sys.executable, "-c", "import sums"]
        said += [
            subprocess.run(words, cwd=tmp_path, env=here, capture_output=True, text=True, check=True).stdout
        ]
    assert said == ["3.0\n", "6.0\n"]
