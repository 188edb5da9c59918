import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


Ran = Mapping[Path, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Start every notebook, two at a time, one thread each."""
    now = dict(os.environ)  # pytest writes to it while they run
    with ThreadPoolExecutor(2) as pool:
        yield {path: pool.submit(run, path, tmp_path_factory.mktemp(path.stem), now) for path in NOTEBOOKS}


def run(notebook: Path, folder: Path, now: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    here = {"RECOMPRA_HOME": str(folder / "home"), "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    here |= {"RECOMPRA_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    env, command = now | here, [sys.executable, notebook]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, ran: Ran) -> None:
    done = ran[notebook].result()
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_first_and_answers_last(notebook: Path) -> None:
    first, *_, last = notebook.read_text(encoding="utf-8").split("\n# %%")[1:]
    assert "**Question.**" in first and "**Answer.**" in last
