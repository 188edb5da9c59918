"""Build the Bento, then serve a home from its folder: another working directory, no path to the sources.

``python tests/benchmarks/bench_bento.py``: offline, in a temporary folder. It ends with an error unless the
code that answered was the Bento's own, by both ways to serve it, and prints how long each took to be ready.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from load.server import request, wait_for
from worlds.ports import free_port
from worlds.snapshot import make_home, make_snapshot
from worlds.visits import make_keys

ROOT = Path(__file__).resolve().parent.parent.parent
SHUT_OUT = ("tests", "notebooks", ".venv")


def environment(place: Path, home: Path) -> dict[str, str]:
    """Return an environment that knows nothing of the sources."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ours = {
        "BENTOML_HOME": str(place / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "RECOMPRA_HOME": str(home),
    }
    return {**kept, **ours}


def build(env: dict[str, str]) -> Path:
    """Build; return the Bento's folder."""
    command = [sys.executable, "-m", "bentoml", "build", "--output", "tag", str(ROOT)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    name, version = done.stdout.strip().rsplit("__tag__:", 1)[1].split(":")
    return Path(env["BENTOML_HOME"]) / "bentos" / name / version


@contextmanager
def running(command: Sequence[str], env: dict[str, str], cwd: Path) -> Iterator[Path]:
    """Run a server; give the file of what it says."""
    said = cwd / "said.log"
    with said.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], env=env, cwd=cwd, stdout=file, stderr=file)
        try:
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def answer(port: int, key: str) -> dict[str, object]:
    """Ask for a list."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = request("/", {"customer_id": "c000001"}).split(b"\r\n\r\n", 1)[1]
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/recommend", body, headers)
    with urllib.request.urlopen(asked, timeout=5) as found:
        read: dict[str, object] = json.load(found)
    return read


def serve(
    label: str, command: Sequence[str], env: dict[str, str], cwd: Path, *, bento: Path, key: str
) -> None:
    """Serve, ask, and make sure whose code answered."""
    port, start = free_port(), time.monotonic()
    with running([*command, "--port", str(port)], env, cwd) as said:
        wait_for(f"http://127.0.0.1:{port}/readyz", ready=True)
        taken = time.monotonic() - start
        assert answer(port, key)["products"], "no products"
    lines = [json.loads(line) for line in said.read_text().splitlines() if line.startswith("{")]
    code = {line["message"].split()[3] for line in lines if line["message"].startswith("the code in")}
    assert code == {str(bento.resolve() / "src")}, code
    print(f"{label}: ready after {taken:.1f} s, answered by the Bento's own code")


def main() -> None:
    """Build, look, serve both ways."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        home, elsewhere = place / "home", place / "elsewhere"
        elsewhere.mkdir()
        make_home(home, make_snapshot())
        key, env, start = make_keys(home)["storefront"], environment(place, home), time.monotonic()
        bento = build(env)
        size = sum(path.stat().st_size for path in bento.rglob("*") if path.is_file())
        print(f"built in {time.monotonic() - start:.1f} s, {size / 1e6:.1f} MB")
        assert not [path for path in bento.rglob("*") if path.name in SHUT_OUT], "more than the packages"
        asked = {"bento": bento, "key": key}
        serve("bentoml serve BENTO", ("-m", "bentoml", "serve", str(bento)), env, elsewhere, **asked)
        serve("recompra serve", ("-m", "recompra", "serve"), env, bento / "src", **asked)


if __name__ == "__main__":
    main()
