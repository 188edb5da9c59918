"""Real processes: what was started by one that is gone does not stay behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from worlds.orders import make_home

from features.errors import ArtefactError
from serving import run, store
from serving.watching.orphan import with_last_words

HERE = Path(store.__file__).parent.parent
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
WORKER = """
import os, time
from serving.watching.orphan import end_with
end_with(os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
"""
SCORES = """
import sys
from pathlib import Path
from serving import watcher
watcher._run(watcher.SCORING, Path(sys.argv[1]), "2024-06-01T00:00:00+00:00")
"""


def test_a_worker_ends_when_the_process_that_keeps_it_is_killed() -> None:
    keeper = subprocess.Popen([sys.executable, "-c", PARENT, WORKER], stdout=subprocess.PIPE, cwd=HERE)
    with keeper:
        assert keeper.stdout is not None
        worker = int(keeper.stdout.readline())
        keeper.kill()
    assert ended(worker)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A stand-in of the watcher that scores, and its scoring: which waits for its lock, here a pipe."""
    home = make_home(tmp_path)
    (home / "lists").mkdir()
    os.mkfifo(home / "lists" / ".lock")
    watcher = run._start([sys.executable, "-c", SCORES, str(home)], {**os.environ, "PYTHONPATH": str(HERE)})
    with watcher:
        yield watcher, _child(watcher.pid, "serving.score")
        watcher.kill()


def test_a_scoring_ends_when_the_watcher_that_began_it_is_killed(
    waiting: tuple[subprocess.Popen[bytes], int],
) -> None:
    watcher, scoring = waiting
    watcher.kill()
    assert ended(scoring)


def test_a_scoring_ends_with_the_service_that_is_stopped(
    waiting: tuple[subprocess.Popen[bytes], int],
) -> None:
    watcher, scoring = waiting
    run._end(watcher, at=os.killpg)
    assert ended(scoring, within=0.2)


def ended(pid: int, within: float = 10.0) -> bool:
    """Wait for a process to end; one that does not is killed."""
    until = time.monotonic() + within
    while _lives(pid) and time.monotonic() < until:
        time.sleep(0.02)
    lives = _lives(pid)
    if lives:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not lives


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False


def _child(parent: int, module: str) -> int:
    """Wait for the child of a process that runs a module."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                about = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                command = (place / "cmdline").read_bytes().decode().split("\0")
                if int(about[1]) == parent and module in command:
                    return int(place.name)
        time.sleep(0.05)
    raise AssertionError(f"{module} was not started")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ArtefactError("churn v2 holds no model.json", "train again"),
            "churn v2 holds no model.json. Hint: train again",
        ),
        (KeyError("features"), "it failed unexpectedly: no 'features' (the log shows where)"),
    ],
)
def test_the_last_line_of_a_process_that_failed_is_its_reason(
    error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> int:
        raise error

    assert with_last_words(fails) == 1
    assert capsys.readouterr().err.splitlines()[-1] == told
