"""A real PostgreSQL of the tests' own: made in a folder that goes away, listening on a socket in it."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVERS = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """Return the folder of the newest installed server's programs."""
    beside = shutil.which("initdb")
    found = sorted(SERVERS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else Path(beside).parent if beside else None


@dataclass(frozen=True)
class Server:
    """A database server that can be stopped and started again."""

    folder: Path
    programs: Path
    options: str

    @property
    def url(self) -> str:
        """The start of a URL, to which a database's name is added."""
        return f"postgresql+psycopg://shop@/{{database}}?host={self.folder}"

    def make(self) -> None:
        """Make the folder of its files."""
        self._run("initdb", "-U", "shop", "--no-sync", "-A", "trust")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses= -c max_connections=60 {self.options}"
        self._run("pg_ctl", "-l", str(self.folder / "log"), "-w", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop: ``immediate`` as in a crash, ``fast`` in order."""
        self._run("pg_ctl", "-m", mode, "stop")

    def processes(self) -> list[int]:
        """Return the ids of the server's processes, the first of which started the others."""
        first = int((self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text(encoding="utf-8").split()
        return [first, *map(int, children)]

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop every process, as on a machine that swaps: connections are taken, nothing is answered."""
        stopped = self.processes()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)

    def _run(self, program: str, *words: str) -> None:
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(self.programs / program), "-D", str(self.folder / "data"), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")


@contextmanager
def running(options: str = "-c fsync=off") -> Iterator[Server]:
    """Give a server that runs, and is gone in the end."""
    found = programs()
    assert found is not None, "programs() found no PostgreSQL"
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        made = Server(folder, found, options)
        made.make()
        made.start()
        try:
            yield made
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                made.stop()


@contextmanager
def server() -> Iterator[str]:
    """Give the start of a URL (``postgresql+psycopg://...``), to which a database's name is added."""
    with running() as made:
        yield made.url
