"""The command line, kept thin: each command imports what it needs, calls a package and prints the result."""

import os
import sys

import typer

from recompra.commands import app

INTERRUPTED = 130


def main() -> None:
    """Run a command. Errors are one line on stderr and an exit code: 2 if a user can fix it, 1 for a bug."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy: BLAS threads fight with ours
        os.environ.setdefault(name, "1")
    if sys.stdout is None:  # closed by the caller: nobody reads the output, which is no error
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        app()
    except Exception as error:  # the edge: no user meets a stack trace unasked; --debug shows it
        if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C
            sys.exit(INTERRUPTED)
        if "--debug" in sys.argv:
            raise
        message = _mendable(error)
        _complain(message or f"unexpected {type(error).__name__}: {error} (--debug shows where)")
        sys.exit(2 if message else 1)


def _mendable(error: Exception) -> str:
    """Return the message of an error that the user can fix; empty for a bug of ours."""
    from duckdb import IOException

    from features.errors import RecompraError, first_line

    if isinstance(error, RecompraError):
        return str(error)
    if isinstance(error, OSError | IOException):
        file = getattr(error, "filename", None)
        place = f"{file}: " if file else ""
        if isinstance(error, FileExistsError | NotADirectoryError):
            return f"{place}a file is where a folder is needed. Hint: name another folder, or move the file"
        hint = "check the path and the room on its disk; RECOMPRA_HOME says where everything is kept"
        return f"{place}{getattr(error, 'strerror', None) or error}. Hint: {hint}"
    from sqlite3 import DatabaseError

    from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

    faults = (IntegrityError, ProgrammingError)
    if isinstance(error, DBAPIError | DatabaseError) and not isinstance(error, faults):
        hint = "start it, restore it, free disk space, or correct RECOMPRA_STORE_URL or RECOMPRA_TRACKING_URI"
        return f"a database cannot be used: {first_line(error)}. Hint: {hint}"
    return ""


def _complain(message: str) -> None:
    """Print an error, or log it as JSON in a process that logs JSON."""
    import logging

    from serving.watching.logs import in_json

    message = " ".join(message.split())
    if in_json():
        logging.getLogger("recompra").error("%s", message)
    else:
        typer.echo(f"recompra: {message}", err=True)
