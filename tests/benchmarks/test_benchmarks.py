"""Benchmarks are scripts: run by their path, with nothing of pytest's around them."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SCRIPTS = sorted(file.name for file in HERE.glob("bench_*.py"))
READ = "import runpy, sys; sys.path[0] = sys.argv[1]; runpy.run_path(sys.argv[2], run_name='read')"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_finds_what_it_imports(name: str) -> None:
    script = [sys.executable, "-c", READ, str(HERE), str(HERE / name)]
    done = subprocess.run(
        script, check=False, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
