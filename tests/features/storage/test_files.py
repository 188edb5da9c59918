import os
from pathlib import Path

import pytest

from features.errors import Busy
from features.storage import files
from features.storage.files import hold, locked, remove, replacing


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "new" / "page.html"
    with replacing(place) as file:
        file.write_text("whole")
        assert not place.exists()
    assert [path.name for path in place.parent.iterdir()] == ["page.html"]


def test_what_fails_on_the_way_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    place.write_text("old")
    with pytest.raises(RuntimeError), replacing(place) as file:
        file.write_text("half")
        raise RuntimeError("the disk is full")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"page.html": "old"}


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with replacing(tmp_path / "pipe") as file:
        file.write_text("rows")
    assert os.read(reader, 10) == b"rows"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_lock_is_held_by_one_and_falls_with_it(tmp_path: Path) -> None:
    busy = Busy("somebody is at work", "wait")
    with (
        locked(tmp_path / "lock", busy),
        pytest.raises(Busy, match="at work"),
        locked(tmp_path / "lock", busy),
    ):
        pass
    with locked(tmp_path / "lock", busy):
        pass


def test_what_is_held_is_removed_once_it_is_let_go_of(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    holding = hold(tmp_path / "folder")
    remove(tmp_path / "folder", tmp_path / "trash")
    assert (tmp_path / "folder").is_dir()
    os.close(holding)
    remove(tmp_path / "folder", tmp_path / "trash")
    assert not list(tmp_path.iterdir())


def test_what_is_removed_by_half_no_longer_bears_its_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(files.shutil, "rmtree", lambda _: None)
    remove(tmp_path / "folder", tmp_path / "trash")
    assert [path.name for path in tmp_path.iterdir()] == ["trash"]
