import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    here = {"RECOMPRA_HOME": str(tmp_path / "home"), "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    here |= {"RECOMPRA_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a small fit only waits for more
    done = subprocess.run(
        [sys.executable, notebook],
        cwd=tmp_path,
        env=os.environ | here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_first_and_answers_last(notebook: Path) -> None:
    first, *_, last = notebook.read_text(encoding="utf-8").split("\n# %%")[1:]
    assert "**Question.**" in first and "**Answer.**" in last
