"""Versions of a warehouse on disk."""

from pathlib import Path

from features.ingest import publish


def test_the_tenth_version_follows_the_ninth_and_the_eighth_goes(tmp_path: Path) -> None:
    for number in (8, 9):
        (tmp_path / f"warehouse-{number}").mkdir()
    with publish.workshop(tmp_path) as folder:
        publish.swap(tmp_path, folder)
    assert {path.name for path in publish.versions(tmp_path)} == {"warehouse-9", "warehouse-10"}
    assert publish.current(tmp_path) == (tmp_path / "warehouse-10").resolve()
