import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from serving import store
from serving.entrance.orphan import LOOK_SECONDS

CHILD = """
import os, time
from serving.entrance.orphan import end_with
end_with(os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"


def test_a_worker_ends_when_the_process_that_keeps_it_is_killed() -> None:
    here = Path(store.__file__).parent.parent
    command = [sys.executable, "-c", PARENT, CHILD]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=here)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20 * LOOK_SECONDS
    while _lives(worker) and time.monotonic() < until:
        time.sleep(0.05)
    lived = _lives(worker)
    if lived:
        os.kill(worker, signal.SIGKILL)
    parent.stdout.close()
    assert not lived


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False
