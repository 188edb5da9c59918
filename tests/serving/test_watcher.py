import json
import subprocess
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from worlds.snapshot import NOW, make_home, make_snapshot

from features.errors import Busy, NotFound
from features.storage.files import locked
from serving import score, state, watcher
from serving.state import Pointer, refusal, registry_trouble, write_card
from serving.watcher import Watcher


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand in for the scoring's process: remember how it was called, and fail when told so."""
    made: list[Any] = []

    def run(_: str, home: Path, *more: str, **__: Any) -> Any:
        made.append([str(home), *more])
        told = "Traceback\nchurn v2 holds no model.json"
        return subprocess.CompletedProcess([], int((home / "broken").exists()), "", told)

    monkeypatch.setattr(watcher, "_run", run)
    return made


def watching(home: Path, monkeypatch: pytest.MonkeyPatch, champions: dict[str, str]) -> Watcher:
    made = Watcher(home)
    monkeypatch.setattr(made, "_versions", lambda: dict(champions))
    return made


def test_nothing_happens_while_the_champions_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    make_home(tmp_path)
    assert not watching(tmp_path, monkeypatch, {"cross_sell": "1", "churn": "1"}).look()
    assert runs == []


def test_a_new_champion_is_scored_at_the_moment_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    made = make_home(tmp_path)
    assert watching(tmp_path, monkeypatch, {"cross_sell": "2", "churn": "1"}).look()
    assert runs == [[str(tmp_path), made.as_of.isoformat()]]


def test_a_champion_put_back_serves_at_once_from_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    old = make_snapshot()
    new = replace(old, stamp="20260302T0000-0002", as_of=NOW, models={"cross_sell": "1", "churn": "2"})
    make_home(tmp_path, old)
    make_home(tmp_path, new)
    assert watching(tmp_path, monkeypatch, {"cross_sell": "1", "churn": "1"}).look()
    assert Pointer.read(tmp_path).stamp == old.stamp
    assert runs == [[str(tmp_path), NOW.isoformat()]]


def test_champions_put_back_need_no_new_scoring_of_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    old = make_snapshot()
    make_home(tmp_path, old)
    make_home(tmp_path, replace(old, stamp="20260301T0000-0002", models={"cross_sell": "1", "churn": "2"}))
    looking = watching(tmp_path, monkeypatch, {"cross_sell": "1", "churn": "1"})
    assert looking.look()
    assert not looking.look()
    assert Pointer.read(tmp_path).stamp == old.stamp
    assert runs == []


def test_what_is_nearest_to_champions_put_back_serves_until_theirs_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    old = make_snapshot()
    make_home(tmp_path, old)
    make_home(tmp_path, replace(old, stamp="20260301T0000-0002", models={"cross_sell": "2", "churn": "3"}))
    assert watching(tmp_path, monkeypatch, {"cross_sell": "1", "churn": "2"}).look()
    assert Pointer.read(tmp_path).stamp == old.stamp
    assert len(runs) == 1


def test_champions_that_cannot_score_are_refused_once_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    make_home(tmp_path)
    (tmp_path / "broken").touch()
    champions = {"cross_sell": "2"}
    looking = watching(tmp_path, monkeypatch, champions)
    assert not looking.look()
    assert not looking.look()
    assert len(runs) == 1
    assert refusal(tmp_path) == "churn v2 holds no model.json"
    assert json.loads((tmp_path / "refused.json").read_text())["models"] == champions


def test_a_scoring_that_was_killed_is_refused_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path)
    monkeypatch.setattr(watcher, "_run", lambda *_, **__: subprocess.CompletedProcess([], -9, "", ""))
    assert not watching(tmp_path, monkeypatch, {"cross_sell": "2"}).look()
    assert refusal(tmp_path) == "its process was killed (signal 9); usually memory has run out"


def test_refused_champions_are_tried_again_ever_later_in_case_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    make_home(tmp_path)
    (tmp_path / "broken").touch()
    looking, clock = watching(tmp_path, monkeypatch, {"cross_sell": "2"}), [0.0]
    monkeypatch.setattr(watcher, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    tried = []
    for minute in range(10):
        clock[0] = 60.0 * minute
        looking.look()
        tried.append(len(runs))
    assert tried == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4]
    for _ in range(1_100):  # six weeks, an hour each
        clock[0] += 3600
        looking.look()
    assert len(runs) == 1_104
    (tmp_path / "broken").unlink()
    clock[0] += 3600
    assert looking.look()
    assert refusal(tmp_path) is None


def test_other_champions_are_tried_again_as_soon_as_the_first_ones_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    make_home(tmp_path)
    (tmp_path / "broken").touch()
    champions, clock = {"cross_sell": "2"}, [0.0]
    looking = watching(tmp_path, monkeypatch, champions)
    monkeypatch.setattr(watcher, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    tried = []
    for clock[0], version in ((0, "2"), (60, "2"), (70, "3"), (129, "3"), (130, "3")):
        champions["cross_sell"] = version
        looking.look()
        tried.append(len(runs))
    assert tried == [1, 2, 3, 3, 4]


@pytest.mark.parametrize("fails", ["sweep", "store"])
def test_what_could_not_be_erased_is_told_and_tried_again_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    def due(*_: Any) -> bool:
        if fails == "store":
            raise OSError("gone")
        return True

    clock, left = [0.0], subprocess.CompletedProcess([], 1, "", "left: lists/")
    monkeypatch.setattr(watcher, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(watcher.erasure, "due", due)
    monkeypatch.setattr(watcher, "_run", lambda *_, **__: left)
    looking = watching(tmp_path, monkeypatch, make_home(tmp_path).models)
    for clock[0] in (1.0, 3.0, 60.0, 62.0):
        looking.look()
    told = {"sweep": "left: lists/", "store": "erasures cannot be read from the store: gone"}
    assert caplog.text.count(told[fails]) == 2


def test_a_scoring_that_waits_for_another_one_refuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    make_home(tmp_path)
    looking, clock = watching(tmp_path, monkeypatch, {"cross_sell": "2"}), [0.0]
    monkeypatch.setattr(watcher, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    with monkeypatch.context() as patch:
        patch.setattr(watcher, "_run", lambda *_, **__: subprocess.CompletedProcess([], score.BUSY, "", ""))
        assert not looking.look()
    assert refusal(tmp_path) is None
    assert not looking.look() and runs == []
    clock[0] = watcher.BUSY_SECONDS
    assert looking.look()
    assert len(runs) == 1


def test_the_next_champions_clear_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    make_home(tmp_path)
    (tmp_path / "broken").touch()
    champions = {"cross_sell": "2"}
    looking = watching(tmp_path, monkeypatch, champions)
    looking.look()
    (tmp_path / "broken").unlink()
    champions["cross_sell"] = "3"
    assert looking.look()
    assert refusal(tmp_path) is None


def test_going_back_to_what_serves_clears_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    serving = make_home(tmp_path).models
    (tmp_path / "broken").touch()
    champions = serving | {"cross_sell": "2"}
    looking = watching(tmp_path, monkeypatch, champions)
    looking.look()
    champions.update(serving)
    looking.look()
    assert refusal(tmp_path) is None
    champions["cross_sell"] = "2"
    looking.look()
    assert len(runs) == 2


def test_a_registry_that_is_away_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    make_home(tmp_path)
    looking = Watcher(tmp_path)

    def away() -> dict[str, str]:
        raise NotFound("the registry cannot be read: no database", "start it")

    with monkeypatch.context() as patch:
        patch.setattr(looking, "_versions", away)
        assert not looking.look()
        assert not looking.look()
    assert caplog.text.count("cannot be read") == 1
    assert runs == []
    assert registry_trouble(tmp_path) == "the registry cannot be read: no database. Hint: start it"
    monkeypatch.setattr(looking, "_versions", dict)
    looking.look()
    assert registry_trouble(tmp_path) == ""
    assert runs == []  # nor does one without champions


def test_while_a_scoring_is_gone_back_to_nobody_else_moves_or_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    def looked_for(home: Path, *_: object, **__: object) -> None:
        with pytest.raises(Busy), locked(home / "serving.lock", Busy("it is moved", "wait")):
            pass

    make_home(tmp_path)
    monkeypatch.setattr(watcher, "way_back", looked_for)
    assert watching(tmp_path, monkeypatch, {"cross_sell": "2"}).look()
    assert len(runs) == 1


def test_a_scoring_is_given_up_when_its_champions_are_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path)
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(watcher, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(watcher, "SCORING", "slow")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    new, away = {"cross_sell": "2"}, NotFound("the registry cannot be read", "start it")
    seen = iter([new, new, away, new, {"cross_sell": "1", "churn": "1"}])

    def versions() -> dict[str, str]:
        found = next(seen)
        if isinstance(found, NotFound):
            raise found
        return found

    looking = Watcher(tmp_path)
    monkeypatch.setattr(looking, "_versions", versions)
    begun = monotonic()
    assert not looking.look()
    assert monotonic() - begun < 30  # its process is ended, not waited for
    assert next(seen, None) is None
    assert refusal(tmp_path) is None


def test_whatever_a_look_meets_another_is_taken_and_the_drift_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def look() -> None:
        looks.append("champions")
        if len(looks) == 1:
            raise ValueError

    def sleep(_: float) -> None:
        if looks[-1] == "drift":
            raise KeyboardInterrupt

    monkeypatch.setattr(watcher, "time", SimpleNamespace(sleep=sleep))
    beside: Any = SimpleNamespace(look=look, look_at_drift=lambda: looks.append("drift"))
    with pytest.raises(KeyboardInterrupt):
        watcher.watch(beside, beside)
    assert looks == ["champions", "champions", "drift"]


def test_it_ends_with_the_process_that_started_it_and_rests_while_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents, worked, rests, nice = iter([7, 7, 7, 1]), iter([True, False, True]), [], []
    beside = SimpleNamespace(look=lambda: next(worked))
    monkeypatch.setattr(watcher, "os", SimpleNamespace(getppid=lambda: next(parents), nice=nice.append))
    monkeypatch.setattr(watcher, "time", SimpleNamespace(sleep=rests.append))
    monkeypatch.setattr(watcher, "set_up", lambda: None)
    monkeypatch.setattr(watcher, "Refresher", lambda *_: beside)
    monkeypatch.setattr(watcher, "Thread", lambda **_: SimpleNamespace(start=lambda: None))
    watcher.main(tmp_path, 7)
    assert (rests, nice, next(worked, None)) == ([watcher.LOOK_SECONDS], [watcher.NICE], None)


def test_a_card_that_cannot_be_written_leaves_the_old_one_and_nothing_beside(tmp_path, monkeypatch) -> None:
    write_card(tmp_path / "card.json", {"n": 1})

    def full(path: Path, _: str) -> None:
        path.write_text("ha")
        raise OSError("No space left on device")

    monkeypatch.setattr(state, "write_durably", full)
    with pytest.raises(OSError, match="No space"):
        write_card(tmp_path / "card.json", {"n": 2})
    assert {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {"card.json": {"n": 1}}
