"""A real PostgreSQL of the tests' own: made in a folder that goes away, listening on a socket in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVERS = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """Return the folder of the newest installed server's programs."""
    beside = shutil.which("initdb")
    found = sorted(SERVERS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else Path(beside).parent if beside else None


@contextmanager
def server() -> Iterator[str]:
    """Give the start of a URL (``postgresql+psycopg://...``), to which a database's name is added."""
    found = programs()
    assert found is not None, "programs() found no PostgreSQL"
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        data, log = folder / "data", folder / "log"
        _run([*user, str(found / "initdb"), "-D", str(data), "-U", "shop", "--no-sync", "-A", "trust"])
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=40"
        _run([*user, str(found / "pg_ctl"), "-D", str(data), "-l", str(log), "-w", "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://shop@/{{database}}?host={folder}"
        finally:
            _run([*user, str(found / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
