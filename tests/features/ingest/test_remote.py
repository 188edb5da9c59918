"""Shops that lie elsewhere: a real web server and real databases, on this machine."""

import base64
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa
from worlds import postgres

from features.errors import InputError, SettingsError
from features.ingest import ingest
from features.ingest.remote import shown
from features.storage.database import engine_of

LINES = """kunde,ordered_at,product_id,quantity,unit_price
007,2024-01-05 23:30:00,p,1,2.5
é,2024-01-06,q,2,1
"""
TOML = "timezone = 'Europe/Berlin'\n[columns]\ncustomer_id = 'kunde'\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Guarded(Quiet):
    def do_GET(self) -> None:
        known = base64.b64encode(b"ada:s/cret").decode()
        if self.headers["Authorization"] == f"Basic {known}":
            super().do_GET()
        else:
            self.send_error(401)


@pytest.fixture(params=[Quiet])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    place = tmp_path / "web"
    (place / "shop").mkdir(parents=True)
    (place / "shop" / "order_lines.csv").write_text(LINES)
    (place / "shop" / "recompra.toml").write_text(TOML)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(request.param, directory=str(place))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def kept(home: Path) -> list[tuple]:
    lines = f"'{home}/warehouse/order_lines/*/*.parquet'"
    columns = "customer_id, ordered_at::VARCHAR, revenue"
    return duckdb.sql(f"SELECT {columns} FROM {lines} ORDER BY ALL").fetchall()


def test_a_folder_on_the_web_is_read_with_its_own_settings(web: str, tmp_path: Path) -> None:
    report = ingest(f"{web}/shop/", tmp_path)
    assert kept(tmp_path) == [("007", "2024-01-05 22:30:00", 2.5), ("é", "2024-01-05 23:00:00", 2.0)]
    assert report.source == f"{web}/shop/"
    assert not ingest(f"{web}/shop/", tmp_path).changed


@pytest.mark.parametrize(
    ("path", "words"), [("nowhere", "no order_lines.parquet"), ("shop/lines.csv", "there is no file at")]
)
def test_what_is_not_there_is_named(web: str, tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ingest(f"{web}/{path}", tmp_path)


@pytest.mark.parametrize("web", [Guarded], indirect=True)
def test_a_shop_behind_a_password_is_read_with_it_and_the_report_does_not_tell_it(
    web: str, tmp_path: Path
) -> None:
    report = ingest(f"{web.replace('//', '//ada:s%2Fcret@')}/shop/", tmp_path)
    assert (report.source, len(kept(tmp_path))) == (f"{web}/shop/", 2)
    with pytest.raises(InputError, match=r"answers 401 Unauthorized\. Hint: .* its user's rights"):
        ingest(f"{web}/shop/", tmp_path)


def test_nobody_answering_is_said_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9/x/recompra.toml cannot be read") as told:
        ingest("http://ada:secret@127.0.0.1:9/x", tmp_path)
    assert "secret" not in str(told.value)
    assert shown("postgresql://ada:secret@db/shop") == "postgresql://db/shop"
    assert shown("sqlite:////srv/shop.db") == "sqlite:////srv/shop.db"


def fill(url: str, *, view: bool = True) -> None:
    engine = engine_of(url)
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE sales (who TEXT, at TIMESTAMP, what TEXT, n INT, price DECIMAL)"))
        values = "('007', '2024-01-05 23:30:00', 'p', 1, 2.5), ('é', '2024-01-06 09:00:00', NULL, -1, 2.5)"
        db.execute(sa.text(f"INSERT INTO sales VALUES {values}"))
        columns = "who customer_id, at ordered_at, what product_id, n quantity, price unit_price"
        if view:
            db.execute(sa.text(f"CREATE VIEW order_lines AS SELECT {columns} FROM sales"))
    engine.dispose()


def test_a_databases_tables_and_views_are_read_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    fill(url)
    report = ingest(url, tmp_path)
    assert kept(tmp_path) == [("007", "2024-01-05 23:30:00", 2.5)]
    assert report.tables["order_lines"].reasons == {"return of nothing bought before": 1}


def test_a_databases_settings_are_in_a_file_that_is_named(tmp_path: Path) -> None:
    fill(url := f"sqlite:///{tmp_path}/shop.db")
    (tmp_path / "mine.toml").write_text(
        'timezone = "America/Sao_Paulo"\ncolumns = {unit_price = "2 * num(unit_price)"}'
    )
    ingest(url, tmp_path, settings=tmp_path / "mine.toml")
    assert kept(tmp_path) == [("007", "2024-01-06 02:30:00", 5.0)]
    with pytest.raises(SettingsError, match="no file '.*other.toml'"):
        ingest(url, tmp_path, settings=tmp_path / "other.toml")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no database at"):
        ingest(f"sqlite:///{tmp_path}/shop.db", tmp_path / "home")
    assert not (tmp_path / "shop.db").exists()


@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL is installed here")
def test_so_are_postgresqls_by_its_plain_url(tmp_path: Path) -> None:
    with postgres.running() as server:
        url = server.url.format(database="postgres").replace("+psycopg", "")
        fill(url)
        ingest(url, tmp_path)
    assert kept(tmp_path) == [("007", "2024-01-05 23:30:00", 2.5)]


@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL is installed here")
def test_tables_of_another_schema_are_named_as_the_settings_would_name_them(tmp_path: Path) -> None:
    with postgres.running() as server:
        url = server.url.format(database="postgres")
        fill(url)
        engine = engine_of(url)
        with engine.begin() as db:
            db.execute(sa.text("DROP VIEW order_lines"))
            db.execute(sa.text("CREATE SCHEMA trade"))
            db.execute(sa.text("ALTER TABLE sales SET SCHEMA trade"))
        engine.dispose()
        with pytest.raises(InputError, match=r"no table order_lines, found \['trade\.sales'\]"):
            ingest(url, tmp_path)


CALLED = """[tables.order_lines]
file = "sales"
columns = { customer_id = "who", ordered_at = "at", quantity = "n", unit_price = "price" }
"""


@pytest.mark.parametrize("file", ["sales", "main.sales"])
def test_a_databases_table_of_another_name_is_read_by_the_settings(tmp_path: Path, file: str) -> None:
    url, toml = f"sqlite:///{tmp_path}/shop.db", tmp_path / "our.toml"
    fill(url, view=False)
    toml.write_text(CALLED.replace('"sales"', f'"{file}"'))
    assert ingest(url, tmp_path, settings=toml).tables["order_lines"].kept == 1
    assert kept(tmp_path) == [("007", "2024-01-05 23:30:00", 2.5)]
    assert not ingest(url, tmp_path, settings=toml).changed


def test_a_query_reads_a_databases_tables_by_their_names(tmp_path: Path) -> None:
    url, toml = f"sqlite:///{tmp_path}/shop.db", tmp_path / "our.toml"
    fill(url, view=False)
    toml.write_text(
        "[tables.order_lines]\nquery = 'SELECT who AS customer_id, \"at\" AS ordered_at FROM sales'\n"
    )
    assert ingest(url, tmp_path, settings=toml).tables["order_lines"].kept == 2


def test_a_table_that_the_settings_name_and_the_database_lacks_is_named(tmp_path: Path) -> None:
    url, toml = f"sqlite:///{tmp_path}/shop.db", tmp_path / "our.toml"
    fill(url)
    toml.write_text("[tables.products]\nfile = 'goods'\n")
    with pytest.raises(InputError, match=r"no table goods, found \['order_lines', 'sales'\]") as error:
        ingest(url, tmp_path, settings=toml)
    assert '[tables.products] file = "sales.products"' in error.value.hint


def test_a_database_without_order_lines_says_what_it_found(tmp_path: Path) -> None:
    engine = engine_of(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE sales (who TEXT)"))
    engine.dispose()
    with pytest.raises(InputError, match=r"no table order_lines, found \['sales'\].*make a view"):
        ingest(f"sqlite:///{tmp_path}/shop.db", tmp_path)


@pytest.mark.parametrize(
    ("url", "words"),
    [("nodb://x/y", "is not the scheme of a database"), ("mysql://x/y", "no driver for mysql")],
)
def test_what_is_no_database_we_can_open_is_said(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        ingest(url, tmp_path)
