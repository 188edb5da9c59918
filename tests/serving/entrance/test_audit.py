"""The audit log: it only grows, is read by its owner alone, and fails no request."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.entrance.audit import FILE, Audit

NOW = datetime(2024, 8, 1, tzinfo=UTC)


def asked(audit: Audit, path: str = "/customer") -> None:
    audit.write(at=NOW, key_id="k", path=path, status=200, request_id="r")


def test_what_another_worker_or_an_earlier_one_wrote_is_kept(tmp_path: Path) -> None:
    first = Audit(tmp_path)
    asked(first, "/customer")
    second = Audit(tmp_path)
    asked(second, "/scores")
    asked(first, "/erase")
    first.close()
    second.close()
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/customer", "/scores", "/erase"]


def test_only_the_services_own_account_reads_it(tmp_path: Path) -> None:
    Audit(tmp_path).close()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_logged_and_fails_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).symlink_to("/dev/full")
    audit = Audit(tmp_path)
    with caplog.at_level(logging.ERROR, "recompra.serving"):
        asked(audit)
    audit.close()
    assert "the audit log cannot be written: [Errno 28]" in caplog.text
