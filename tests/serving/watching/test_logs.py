import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from worlds.visits import visitor

from serving.watching.logs import REQUEST_ID, JsonLines

SPEAK = """
import logging, sys, warnings
from serving.watching.logs import set_up
logging.getLogger("bentoml").addHandler(logging.StreamHandler(sys.stdout))
logging.getLogger("bentoml").propagate = False
set_up()
logging.getLogger("recompra.x").info("two\\nlines")
logging.getLogger("bentoml").info("bento")
logging.getLogger("mlflow").info("chatter")
warnings.warn("careful")
1 / 0
"""


def speak(**env: str) -> tuple[str, list[str]]:
    """Return what a process wrote to standard output, and its lines on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAK], capture_output=True, text=True, env={**os.environ, **env}, check=False
    )
    return done.stdout, done.stderr.splitlines()


def record(message: str = "said", **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("recompra.x", logging.WARNING, __file__, 1, message, None, more.pop("exc", None))
    made.__dict__.update(more)
    return made


def test_every_line_of_a_process_is_json_even_its_last_words() -> None:
    out, lines = speak()
    said = [json.loads(line) for line in lines]
    assert out == ""
    assert [line["logger"] for line in said] == ["recompra.x", "bentoml", "py.warnings", "recompra"]
    assert said[0]["message"] == "two\nlines"
    assert said[-1]["level"] == "critical"
    assert said[-1]["exception"].endswith("ZeroDivisionError: division by zero")


def test_humans_may_ask_for_text() -> None:
    _, lines = speak(RECOMPRA_LOG="text")
    assert lines[0].endswith("[INFO] [recompra.x] two")
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_line_has_its_level_and_moment_in_utc() -> None:
    line = json.loads(JsonLines().format(record(created=0.0)))
    assert line == {
        "level": "warning",
        "at": "1970-01-01T00:00:00.000+00:00",
        "logger": "recompra.x",
        "message": "said",
    }


def test_a_line_inside_a_request_names_it() -> None:
    token = REQUEST_ID.set("abc")
    line = json.loads(JsonLines().format(record()))
    REQUEST_ID.reset(token)
    assert line["request_id"] == "abc"


def test_fields_are_in_the_line_whatever_they_hold() -> None:
    line = json.loads(JsonLines().format(record(fields={"status": 404, "where": Path("x")})))
    assert (line["status"], line["where"]) == (404, "x")


def told(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.fields for record in caplog.records if record.name == "recompra.access"]


def test_a_refused_request_leaves_a_line_without_a_word_about_the_customer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "recompra.access")
    client, worker = visitor(tmp_path)
    client.ask("/customer/c000001", {"customer_id": "c000001"})
    client.ask("/recommend", {"customer_id": "c000001", "k": "c000001"})
    client.ask("/recommend", {"customer_id": "c000001"}, scope="c000001")
    client.ask("/recommend", {"customer_id": "c000001"})
    worker.close()
    assert [(line["path"], line["status"]) for line in told(caplog)] == [
        ("other", 404),
        ("/recommend", 400),
        ("/recommend", 401),
    ]
    assert "c000001" not in caplog.text


def test_every_request_leaves_a_line_where_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPRA_ACCESS_LOG", "1")
    caplog.set_level(logging.INFO, "recompra.access")
    client, worker = visitor(tmp_path)
    begun = perf_counter()
    client.ask("/recommend", {"customer_id": "c000001"})
    took = perf_counter() - begun
    client.send("GET", "/livez")  # asked every few seconds: it would fill the log
    worker.close()
    assert [line["status"] for line in told(caplog)] == [200]
    assert 0.01 < told(caplog)[0]["ms"] < 1000 * took
