"""``recompra serve``: the service and the watcher beside it, started and stopped together."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from threading import Event
from time import monotonic, sleep

from features.arrays.compiled import cache_folder
from features.errors import SettingsError
from serving.store import Store

SERVICE = "serving.service:Recompra"
GRACE_SECONDS = 15
LOOK_SECONDS = 0.2
WATCHER_SECONDS = 2.0
"""A watcher that dies is restarted after at least this time."""
PR_SET_PDEATHSIG = 1
Process = subprocess.Popen[bytes]


def serve(home: Path, *, host: str = "127.0.0.1", port: int = 3000, workers: int = 1) -> int:
    """Serve until SIGTERM or SIGINT, then let requests in flight finish; return the service's exit code.

    A watcher that dies is restarted; if the service dies, this ends with its code.
    """
    home = home.resolve()
    _check_port(host, port)
    Store.open(home).close()  # creates the tables before several workers look for them
    env = environment(home, workers=workers, port=port)
    with _told_to_stop() as stop:
        service = _start([*_bentoml(), "--host", host, "--port", str(port)], env)
        watcher = _start(_watcher(home), env)
        try:
            while service.poll() is None and not stop.wait(LOOK_SECONDS):
                if watcher.poll() is not None and not stop.wait(WATCHER_SECONDS):
                    watcher = _start(_watcher(home), env)
        finally:
            _end(watcher, at=os.killpg)  # with a scoring that it started
            _end(service, at=os.kill)  # which ends its workers itself, in order
            _await_port(host, port)
    return 0 if stop.is_set() else int(service.returncode)


def _await_port(host: str, port: int) -> None:
    """Wait until the workers have released the port, so that the next start finds it free."""
    until = monotonic() + GRACE_SECONDS
    while monotonic() < until:
        try:
            return _check_port(host, port)
        except SettingsError:
            sleep(LOOK_SECONDS)


def _check_port(host: str, port: int) -> None:
    with closing(socket()) as probe:
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port} ({error.strerror})", "take another --port, or --host"
            ) from error


def environment(home: Path, *, workers: int, port: int = 3000) -> dict[str, str]:
    """Return the service's environment: one thread per worker, no telemetry, and its files in the home.

    The framework empties its folder, and the metrics in it, on start: each port has its own, so that a second
    service may take over from a first.
    """
    ours = {
        "RECOMPRA_HOME": str(home),
        "RECOMPRA_WORKERS": str(workers),
        "BENTOML_HOME": str(home / "bentoml" / str(port)),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **ours, **cache_folder(home)}


@contextmanager
def _told_to_stop() -> Iterator[Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stop = Event()
    names = (signal.SIGTERM, signal.SIGINT)
    previous = {name: signal.signal(name, lambda *_: stop.set()) for name in names}
    try:
        yield stop
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)


def _bentoml() -> list[str]:
    """Return the command; it runs in our packages' folder, so that no folder of the caller's shadows them."""
    here = Path(__file__).resolve().parent.parent
    return [sys.executable, "-m", "bentoml", "serve", SERVICE, "--working-dir", str(here)]


def _watcher(home: Path) -> list[str]:
    return [sys.executable, "-m", "serving.watcher", str(home), str(os.getpid())]


def _start(command: list[str], env: Mapping[str, str]) -> Process:
    """Start a process in its own group: Ctrl-C reaches only this one, which passes it on in order."""
    return subprocess.Popen(command, env=env, start_new_session=True, preexec_fn=_end_with_us)  # noqa: PLW1509 (no threads here)


def _end_with_us() -> None:
    """Ask Linux to send this process SIGTERM when its parent dies, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: Process, *, at: Callable[[int, int], None]) -> None:
    with suppress(ProcessLookupError):
        at(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
