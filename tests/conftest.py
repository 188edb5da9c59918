"""Before numpy comes in: one BLAS thread, as the command line sets it; more of them only spin beside ours.

And both databases for what touches the store: SQLite as it comes, and a real PostgreSQL.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator  # noqa: E402 - numpy may come in only now

import pytest  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from hypothesis import settings  # noqa: E402
from worlds import postgres  # noqa: E402

settings.register_profile("recompra", deadline=None)  # a busy machine is no failure
settings.load_profile("recompra")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a PostgreSQL for the whole run."""
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL server is installed here (Debian: apt-get install postgresql)")
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make ``Store.open`` open an empty database of this kind; return the kind."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_server")
        name = f"shop_{abs(hash(request.node.nodeid)):x}"
        admin = sa.create_engine(url.format(database="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as db:
            db.execute(sa.text(f"CREATE DATABASE {name}"))
        admin.dispose()
        monkeypatch.setenv("RECOMPRA_STORE_URL", url.format(database=name))
    else:
        monkeypatch.delenv("RECOMPRA_STORE_URL", raising=False)
    return str(request.param)
